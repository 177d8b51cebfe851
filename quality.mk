# make fuzz      hold the engines to each other for FUZZ_SECONDS, with atheris where it can be had
# make asan      the suite on a C engine with address and undefined-behaviour sanitizers
# make coverage  the lines of the engines that the tests run, those of the .pyx too
# make elsewhere the client and the poller the ways they go on Windows, as far as POSIX can
# make linear    instructions of the C engine on responses of doubling size (needs valgrind)
# Included by the Makefile, whose virtual environment they use.

FUZZ_SECONDS ?= 60
FUZZ_ENGINES ?= both
# what runs in processes of its own, or in nothing of C
NOT_SANITIZED := test_bench test_docs test_package $(notdir $(basename $(wildcard tests/test_fleet*.py)))
SANITIZERS = $(shell cc -print-file-name=libasan.so) $(shell cc -print-file-name=libubsan.so)

.PHONY: fuzz asan coverage elsewhere linear

fuzz: $(STAMP)-dev engine
	$(RUN) tools/corpus.py seeds
	@mkdir -p fuzz/found
	@if $(RUN) -m pip install --quiet atheris >/dev/null 2>&1; then \
	echo 'atheris, $(FUZZ_ENGINES), $(FUZZ_SECONDS) s'; \
	$(RUN) fuzz/fuzz.py $(FUZZ_ENGINES) -max_total_time=$(FUZZ_SECONDS) -max_len=1024 -timeout=60 \
	-artifact_prefix=fuzz/found/ -print_final_stats=1 -verbosity=0 fuzz/found fuzz/seeds; \
	else echo 'atheris cannot be installed for this Python: the mutation fuzzer alone'; \
	$(RUN) fuzz/mutate.py --seconds $(FUZZ_SECONDS); fi

# Leaks are not looked for: CPython itself keeps objects to its end; tests/leaking.py counts ours.
# With malloc for each object the sanitizer sees every octet behind a buffer.
asan: $(STAMP)-dev
	$(RUN) tools/variant.py asan
	LD_PRELOAD='$(SANITIZERS)' PYTHONMALLOC=malloc PYTHONPATH=build/asan \
	ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:handle_segv=0 \
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 FASTHIO_ENGINE=c \
	$(RUN) -m pytest -q -p no:cacheprovider --timeout 600 -k 'not [py' \
	$(NOT_SANITIZED:%=--ignore tests/%.py) tests

TRACED_TESTS := $(patsubst %,tests/test_%.py,parser parser_buffers parser_calls parser_grammar publishing \
	responding responding_by_hand syntax eventing event_law jsoning connecting receiving)
# no test with threads that share a parser is traced: see CONTRIBUTING.md
# what takes long and walks no line that the others do not
NOT_COVERED := test_bench test_differences test_docs test_fuzz_client test_oracles test_parser_law \
	test_parser_memory test_parser_properties test_parser_work test_soak
COVER = -m coverage run --rcfile=tools/coverage.ini -m pytest -q -p no:cacheprovider --timeout 900

coverage: $(STAMP)-dev engine
	$(RUN) -m pip install --quiet 'coverage>=7.10'
	$(RUN) tools/variant.py coverage
	@rm -f build/.coverage*
	PYTHONPATH=build/coverage $(RUN) $(COVER) $(TRACED_TESTS)
	$(RUN) $(COVER) $(NOT_COVERED:%=--ignore tests/%.py)
	$(RUN) -m coverage combine --quiet --rcfile=tools/coverage.ini
	$(RUN) -m coverage report --rcfile=tools/coverage.ini

ELSEWHERE := clienting client_doers client_programs connecting kept_heads polling polling_checks \
	polling_costs polling_hostile polling_names pollrun real_servers redirecting \
	request_differences requesting responding responding_by_hand shortcut sinks soak \
	streaming stream_asking stream_ends tls_sessions tlsing waiting watching

elsewhere: $(STAMP)-test engine
	PYTHONPATH=tests $(RUN) tests/both_engines.py -q -p elsewhere --timeout 120 \
	$(wildcard $(ELSEWHERE:%=tests/test_%.py))

linear: $(STAMP)-dev engine
	$(RUN) tools/linear.py
