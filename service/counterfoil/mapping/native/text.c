/* Text: UTF-8 (RFC 3629), JSON strings (RFC 8259, section 7), base64url without padding (RFC 4648, section 5). */
#include "native.h"
#include <string.h>

/* How many bytes a byte becomes in a JSON string: as orjson prints it, with the short escapes where there are any. */
static int escaped_size(uint8_t byte)
{
    if (byte >= 0x20)
        return byte == '"' || byte == '\\' ? 2 : 1;
    return byte == '\b' || byte == '\t' || byte == '\n' || byte == '\f' || byte == '\r' ? 2 : 6;
}

/* How many bytes from `at` stand for themselves in a JSON string: at least those before the first that does not. Eight at
 * a time: a byte below 0x20, a quotation mark or a backslash sets the high bit of its place in one of the three. */
static Py_ssize_t plain_run(const uint8_t *at, Py_ssize_t length)
{
    const uint64_t each = UINT64_C(0x0101010101010101), high = each << 7;
    Py_ssize_t run = 0;
    for (; length - run >= 8; run += 8) {
        uint64_t eight, quote, slash;
        memcpy(&eight, at + run, 8);
        quote = eight ^ each * '"';
        slash = eight ^ each * '\\';
        if (((eight - each * 0x20) & ~eight & high) | ((quote - each) & ~quote & high) | ((slash - each) & ~slash & high))
            break;
    }
    while (run < length && at[run] >= 0x20 && at[run] != '"' && at[run] != '\\')
        run++;
    return run;
}

int is_utf8(const uint8_t *at, Py_ssize_t length)
{
    const uint8_t *end = at + length;
    while (at < end) {
        uint64_t eight;
        while (end - at >= 8 && (memcpy(&eight, at, 8), (eight & UINT64_C(0x8080808080808080)) == 0))
            at += 8;
        if (at == end)
            break;
        uint8_t first = *at++;
        if (first < 0x80)
            continue;
        /* RFC 3629, section 4: how many bytes follow, and what the first of them may be. */
        int more;
        uint8_t low = 0x80, high = 0xBF;
        if (first >= 0xC2 && first <= 0xDF) {
            more = 1;
        } else if (first >= 0xE0 && first <= 0xEF) {
            more = 2;
            if (first == 0xE0)
                low = 0xA0;
            if (first == 0xED)
                high = 0x9F;  /* no surrogates */
        } else if (first >= 0xF0 && first <= 0xF4) {
            more = 3;
            if (first == 0xF0)
                low = 0x90;
            if (first == 0xF4)
                high = 0x8F;
        } else {
            return 0;
        }
        if (end - at < more || at[0] < low || at[0] > high)
            return 0;
        for (int follow = 1; follow < more; follow++)
            if ((at[follow] & 0xC0) != 0x80)
                return 0;
        at += more;
    }
    return 1;
}

Py_ssize_t json_size(const uint8_t *at, Py_ssize_t length)
{
    Py_ssize_t size = length;
    for (Py_ssize_t index = plain_run(at, length); index < length; index += 1 + plain_run(at + index + 1, length - index - 1))
        size += escaped_size(at[index]) - 1;
    return size;
}

uint8_t *json_write(uint8_t *to, const uint8_t *at, Py_ssize_t length)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *end = at + length;
    while (at < end) {
        Py_ssize_t run = plain_run(at, end - at);
        memcpy(to, at, (size_t)run);
        to += run;
        at += run;
        if (at == end)
            break;
        uint8_t byte = *at++;
        *to++ = '\\';
        switch (byte) {
        case '"': case '\\': *to++ = byte; break;
        case '\b': *to++ = 'b'; break;
        case '\t': *to++ = 't'; break;
        case '\n': *to++ = 'n'; break;
        case '\f': *to++ = 'f'; break;
        case '\r': *to++ = 'r'; break;
        default:
            memcpy(to, "u00", 3);
            to[3] = (uint8_t)hex[byte >> 4];
            to[4] = (uint8_t)hex[byte & 15];
            to += 5;
        }
    }
    return to;
}

Py_ssize_t base64url_size(Py_ssize_t length)
{
    return length / 3 * 4 + (length % 3 ? length % 3 + 1 : 0);
}

/* Two letters for every twelve bits: half as many look-ups. Made once, when the module is loaded. */
static uint8_t pairs[4096][2];
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_prepare(void)
{
    for (int twelve = 0; twelve < 4096; twelve++) {
        pairs[twelve][0] = (uint8_t)letters[twelve >> 6];
        pairs[twelve][1] = (uint8_t)letters[twelve & 63];
    }
}

uint8_t *base64url_write(uint8_t *to, const uint8_t *at, Py_ssize_t length)
{
    for (; length >= 3; length -= 3, at += 3, to += 4) {
        uint32_t three = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        memcpy(to, pairs[three >> 12], 2);
        memcpy(to + 2, pairs[three & 4095], 2);
    }
    if (length) {
        uint32_t rest = (uint32_t)at[0] << 16 | (length == 2 ? (uint32_t)at[1] << 8 : 0);
        *to++ = (uint8_t)letters[rest >> 18];
        *to++ = (uint8_t)letters[rest >> 12 & 63];
        if (length == 2)
            *to++ = (uint8_t)letters[rest >> 6 & 63];
    }
    return to;
}
