"""Draw the results as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["draw"]

FOLDER = Path(__file__).resolve().parent / "plots"
OURS, HIO, OTHER = "#0b6e4f", "#c8553d", "#9aa5b1"
#: Parsers beyond this many times ours are cut off in the plot.
FARTHEST = 60.0


def _colour(name: str) -> str:
    if name.startswith("fasthio"):
        return OURS
    return HIO if name.startswith("hio") else OTHER


def _bars(axes: Any, title: str, found: dict[str, dict[str, float]], unit: str, by: float) -> None:
    order = sorted(found, key=lambda name: found[name]["cpu_median"], reverse=True)
    values = [found[name]["cpu_median"] / by for name in order]
    least = [found[name]["cpu_min"] / by for name in order]
    farthest = min(values) * FARTHEST
    shown = [min(value, farthest) for value in values]
    axes.barh(order, shown, color=[_colour(name) for name in order])
    axes.plot([min(value, farthest) for value in least], range(len(order)), "|", color="black")
    for place, (value, where) in enumerate(zip(values, shown, strict=True)):
        axes.text(where, place, f" {value:,.3g}" if value < 1000 else f" {value:,.0f}",
                  va="center", fontsize=7)  # fmt: skip
    axes.set_title(f"{title} ({unit})", fontsize=8, loc="left")
    axes.tick_params(labelsize=7)
    axes.set_xlim(0, max(shown) * 1.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _pyplot(name: str) -> Any:
    import matplotlib

    matplotlib.use("svg")
    # the same results make the same file
    matplotlib.rcParams.update({"svg.hashsalt": name, "svg.fonttype": "none"})
    from matplotlib import pyplot

    return pyplot


def _sheet(name: str, panels: list[tuple[str, dict[str, dict[str, float]], str, float]]) -> Path:
    pyplot = _pyplot(name)
    rows = (len(panels) + 1) // 2
    figure, axes = pyplot.subplots(rows, 2, figsize=(11, 2.6 * rows), squeeze=False)
    for place, axis in enumerate(axes.flat):
        if place < len(panels):
            _bars(axis, *panels[place])
        else:
            axis.set_axis_off()
    path = _save(figure, name)
    pyplot.close(figure)
    return path


def _save(figure: Any, name: str) -> Path:
    figure.tight_layout()
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    return path


def _curves(name: str, panels: list[tuple[str, str, dict[str, dict[int, float]]]]) -> Path:
    """Draw lines over logarithmic counts: title, what is counted, values by name and count."""
    pyplot = _pyplot(name)
    figure, axes = pyplot.subplots(1, len(panels), figsize=(11, 3.4), squeeze=False)
    for axis, (title, counted, lines) in zip(axes.flat, panels, strict=True):
        for each, points in lines.items():
            ours = each.startswith("fasthio")
            axis.plot(
                list(points), list(points.values()), "o-" if ours else "s--", markersize=3,
                label=each, linewidth=1.8 if ours else 1.0,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log" if len(lines) > 2 else "linear")
        if len(lines) <= 2:
            axis.set_ylim(bottom=0)
        axis.set_title(title, fontsize=8, loc="left")
        axis.set_xlabel(counted, fontsize=7)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=6)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    path = _save(figure, name)
    pyplot.close(figure)
    return path


def _poller_curves(results: dict[str, Any]) -> Path:
    """Draw what polls cost over the number of connections, and of targets."""
    peers: dict[str, dict[str, dict[int, float]]] = {"cpu_median": {}, "wall_median": {}}
    for count, found in results["peers"].items():
        for name, each in found.items():
            for key, lines in peers.items():
                lines.setdefault(name, {})[int(count)] = each[key]
    schedule: dict[str, dict[int, float]] = {}
    for count, found in results.get("schedule", {}).items():
        for name, value in found.items():
            schedule.setdefault(name, {})[int(count)] = value
    rates = {
        name: {count: 1e6 / value for count, value in points.items()}
        for name, points in peers["wall_median"].items()
    }
    return _curves(
        "poller-scaling",
        [
            ("CPU a request, us", "connections, all busy", peers["cpu_median"]),
            ("requests a second", "connections, all busy", rates),
            ("the schedule alone: CPU a poll, us", "targets", schedule),
        ],
    )


def draw(results: dict[str, Any]) -> list[Path]:
    """Draw all there is; returns what was written.

    Raises:
        ImportError: matplotlib is not installed.
    """
    made = []
    cases = results.get("parsers", {})
    if cases:
        panels = [(each["title"], each["us"], "us, CPU", 1.0) for each in cases.values()]
        made.append(_sheet("parsers", panels))
    scenes = results.get("clients", {}).get("scenes", {})
    if scenes:
        panels = []
        for name, each in scenes.items():
            long = name.startswith("big")
            title = each["title"] if not name.endswith("-tls") else f"{name[:-4]} over TLS"
            panels.append((title, each["us"], "ms, CPU" if long else "us, CPU",
                           1000.0 if long else 1.0))  # fmt: skip
        made.append(_sheet("clients", panels))
    polled = results.get("poller", {}).get("peers", {})
    if polled:
        made.append(_sheet("poller", [
            (f"{int(count):,} connections, all busy, a request", each, "us, CPU", 1.0)
            for count, each in polled.items()
        ]))  # fmt: skip
        made.append(_poller_curves(results["poller"]))
    return made
