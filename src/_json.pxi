# What octets of JSON hold; see fasthio/_pyjson.py. Included by _parser.pyx.


cdef inline bint _is_digit(unsigned char octet) noexcept nogil:
    return c"0" <= octet <= c"9"


def plain_json(body, Py_ssize_t most, Py_ssize_t digits):  # untraced
    cdef octets_t octets
    cdef Py_ssize_t size, at, first, last, opened = 0
    if not isinstance(body, bytearray):
        raise TypeError(f"body must be a bytearray, not {type(body).__name__}")
    if digits < 1:
        return False
    with cython.critical_section(body):
        octets = <octets_t>PyByteArray_AS_STRING(<bytearray>body)
        size = PyByteArray_GET_SIZE(<bytearray>body)
        if size > most:
            for at in range(size):
                opened += (octets[at] == c"[") + (octets[at] == c"{")
            if opened > most:
                return False
        # a run of so many covers one octet of each so many: no other is looked at first
        at = digits - 1
        while at < size:
            if _is_digit(octets[at]):
                first = last = at
                while first > 0 and _is_digit(octets[first - 1]):
                    first -= 1
                while last + 1 < size and _is_digit(octets[last + 1]):
                    last += 1
                if last - first + 1 >= digits:
                    return False
                at = last
            at += digits
    return True
