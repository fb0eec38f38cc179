/* An attribute list to OTLP/JSON pairs and what the tables know of them; twin of `recognise.walk`.
 *
 * A pair that the tables do not know is printed at once (`orjson.Fragment`). One that they know leaves a gap (None) and
 * is noted as (position, what they know, raw value). Values that are neither string, integer, boolean nor finite double
 * are left to `anyvalue.pair_json`, as are keys that are indexes into a table of strings.
 *
 * The stretch was found canonical before (canonical.c): fields rise, each is there once, strings are UTF-8.
 */
#include "native.h"
#include <math.h>
#include <string.h>

/* SPEC: opentelemetry-proto, common.proto: KeyValue and AnyValue. */
enum { PAIR_KEY = 1, PAIR_VALUE = 2, PAIR_KEY_INDEX = 3 };
enum { VALUE_STRING = 1, VALUE_BOOL, VALUE_INT, VALUE_DOUBLE, VALUE_ARRAY, VALUE_KVLIST, VALUE_BYTES, VALUE_INDEX };

/* Keys repeat in every item, so their strings are kept: one in each place, which the next key of that place replaces.
 * It holds at most KEPT_KEYS strings of at most KEPT_CHARS bytes, whatever is sent. Guarded by the interpreter lock. */
#define KEPT_KEYS 4096
#define KEPT_CHARS 64
static struct {
    uint32_t hash, length;
    char bytes[KEPT_CHARS];
    PyObject *text;
} kept[KEPT_KEYS];

/* The key as a string, a new reference. */
static PyObject *key_text(const uint8_t *key, Py_ssize_t length)
{
    if (length > KEPT_CHARS)
        return PyUnicode_DecodeUTF8((const char *)key, length, NULL);
    uint32_t hash = 2166136261u;  /* FNV-1a */
    for (Py_ssize_t index = 0; index < length; index++)
        hash = (hash ^ key[index]) * 16777619u;
    uint32_t at = (hash ^ hash >> 16) % KEPT_KEYS;
    if (kept[at].text && kept[at].hash == hash && kept[at].length == (uint32_t)length
        && !memcmp(kept[at].bytes, key, (size_t)length))
        return Py_NewRef(kept[at].text);
    PyObject *text = PyUnicode_DecodeUTF8((const char *)key, length, NULL);
    if (text) {
        PyObject *before = kept[at].text;
        kept[at].hash = hash;
        kept[at].length = (uint32_t)length;
        memcpy(kept[at].bytes, key, (size_t)length);
        kept[at].text = Py_NewRef(text);
        Py_XDECREF(before);
    }
    return text;
}

/* What the vocabulary knows of a key, a new reference: None where it is nothing. A vocabulary is a dict that answers
 * for every key (`__missing__`). */
static PyObject *known_of(PyObject *vocabulary, const uint8_t *key, Py_ssize_t length)
{
    PyObject *text = key_text(key, length);
    if (!text)
        return NULL;
    PyObject *known = Py_XNewRef(PyDict_GetItemWithError(vocabulary, text));
    if (!known && !PyErr_Occurred())
        known = PyObject_GetItem(vocabulary, text);
    Py_DECREF(text);
    return known;
}

/* What `walk` was called with. */
typedef struct {
    PyObject *vocabulary, *pair_json, *fragment;
} Walk;

/* {"key":"...","value":{"KIND":TEXT}}: `text` is printed as it is, or as a JSON string. */
static PyObject *printed(const Walk *self, const uint8_t *key, Py_ssize_t key_length, const char *kind, const uint8_t *text,
                         Py_ssize_t length, int as_string)
{
    static const char open[] = "{\"key\":\"", middle[] = "\",\"value\":{\"", after[] = "\":", close[] = "}}";
    Py_ssize_t kind_length = (Py_ssize_t)strlen(kind);
    Py_ssize_t size = (Py_ssize_t)(sizeof open + sizeof middle + sizeof after + sizeof close - 4) + kind_length
                      + json_size(key, key_length) + (as_string ? json_size(text, length) + 2 : length);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    if (!bytes)
        return NULL;
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(bytes);
#define PUT(from, count) (memcpy(to, from, (size_t)(count)), to += (count))
    PUT(open, sizeof open - 1);
    to = json_write(to, key, key_length);
    PUT(middle, sizeof middle - 1);
    PUT(kind, kind_length);
    PUT(after, sizeof after - 1);
    if (as_string) {
        *to++ = '"';
        to = json_write(to, text, length);
        *to++ = '"';
    } else {
        PUT(text, length);
    }
    PUT(close, sizeof close - 1);
#undef PUT
    PyObject *made = PyObject_CallOneArg(self->fragment, bytes);
    Py_DECREF(bytes);
    return made;
}

/* The fields of one KeyValue and of its AnyValue. `which` is the member that is set, 0 where none is. */
typedef struct {
    const uint8_t *key, *text;
    Py_ssize_t key_length, length;
    uint64_t number;
    int key_index, has_value, which;
} Pair;

/* 1, or 0 where the bytes are not what was checked before. */
static int read_pair(const uint8_t *at, const uint8_t *end, Pair *pair)
{
    uint64_t tag, number;
    *pair = (Pair){(const uint8_t *)"", NULL, 0, 0, 0, 0, 0, 0};
    const uint8_t *inner = NULL, *inner_end = NULL;
    while (at < end) {
        if (!(at = read_varint(at, end, &tag)) || !(at = read_varint(at, end, &number)))
            return 0;
        if (tag == (PAIR_KEY_INDEX << 3)) {
            pair->key_index = 1;
            continue;
        }
        if (number > (uint64_t)(end - at))
            return 0;
        if (tag == (PAIR_KEY << 3 | 2)) {
            pair->key = at;
            pair->key_length = (Py_ssize_t)number;
        } else if (tag == (PAIR_VALUE << 3 | 2)) {
            pair->has_value = 1;
            inner = at;
            inner_end = at + number;
        } else {
            return 0;
        }
        at += number;
    }
    if (inner && inner < inner_end) {
        if (!(inner = read_varint(inner, inner_end, &tag)))
            return 0;
        pair->which = (int)(tag >> 3);
        if ((tag & 7) == 1) {
            if (inner_end - inner != 8)
                return 0;
            for (int byte = 0; byte < 8; byte++)
                pair->number |= (uint64_t)inner[byte] << (8 * byte);
        } else if ((tag & 7) == 0) {
            if (read_varint(inner, inner_end, &pair->number) != inner_end)
                return 0;
        } else {
            if (!(inner = read_varint(inner, inner_end, &number)) || number != (uint64_t)(inner_end - inner))
                return 0;
            pair->text = inner;
            pair->length = (Py_ssize_t)number;
        }
    }
    return 1;
}

/* The raw value of a known attribute, a new reference; NULL without exception where it says nothing, or is no scalar. */
static PyObject *raw_scalar(const Pair *pair)
{
    switch (pair->which) {
    case VALUE_STRING:
        return pair->length ? PyUnicode_DecodeUTF8((const char *)pair->text, pair->length, NULL) : NULL;
    case VALUE_INT:
        return PyLong_FromLongLong((int64_t)pair->number);
    case VALUE_BOOL:
        return PyBool_FromLong((long)pair->number);
    case VALUE_DOUBLE: {
        double number;
        memcpy(&number, &pair->number, sizeof number);
        return isfinite(number) ? PyFloat_FromDouble(number) : NULL;
    }
    default:
        return NULL;
    }
}

/* The pair of an attribute that the tables do not know, as JSON; NULL without exception where Python has to make it. */
static PyObject *plain_json(const Walk *self, const Pair *pair)
{
    char digits[24];
    switch (pair->which) {
    case VALUE_STRING:
        return printed(self, pair->key, pair->key_length, "stringValue", pair->text, pair->length, 1);
    case VALUE_INT: {
        int count = snprintf(digits, sizeof digits, "\"%lld\"", (long long)(int64_t)pair->number);
        return printed(self, pair->key, pair->key_length, "intValue", (const uint8_t *)digits, count, 0);
    }
    case VALUE_BOOL: {
        const char *word = pair->number ? "true" : "false";
        return printed(self, pair->key, pair->key_length, "boolValue", (const uint8_t *)word,
                       (Py_ssize_t)strlen(word), 0);
    }
    case VALUE_DOUBLE: {
        /* A number is printed later, by orjson; what is no number is a string, and left to Python. */
        double number;
        memcpy(&number, &pair->number, sizeof number);
        PyObject *key = isfinite(number) ? key_text(pair->key, pair->key_length) : NULL;
        return key ? Py_BuildValue("{sNs{sd}}", "key", key, "value", "doubleValue", number) : NULL;
    }
    default:
        return NULL;
    }
}

/* One attribute into the two lists. */
static int walk_one(const Walk *self, Layout *layout, const uint8_t *at, Py_ssize_t size, PyObject *pairs, PyObject *noted)
{
    Pair pair;
    if (!read_pair(at, at + size, &pair)) {
        PyErr_SetString(PyExc_SystemError, "a stretch of the wire changed");
        return -1;
    }
    PyObject *known = NULL, *raw = NULL, *json = NULL;
    int done = -1;
    if (!pair.key_index) {
        if (!(known = known_of(self->vocabulary, pair.key, pair.key_length)))
            return -1;
        if (known == Py_None)
            Py_CLEAR(known);
        else if (!(raw = raw_scalar(&pair)) && PyErr_Occurred())
            goto done;
        if (!raw && !(json = plain_json(self, &pair)) && PyErr_Occurred())
            goto done;
    }
    if (!raw && !json) {
        PyObject *stock = stock_message(&layout->messages[layout->pair], at, size);
        if (!stock)
            goto done;
        json = PyObject_CallOneArg(self->pair_json, stock);
        Py_DECREF(stock);
        if (!json)
            goto done;
        if (known && pair.which >= VALUE_ARRAY && pair.which <= VALUE_BYTES) {
            PyObject *value = PyDict_Check(json) ? PyDict_GetItemString(json, "value") : NULL;
            raw = Py_XNewRef(value);
        }
    }
    if (raw) {
        PyObject *position = PyLong_FromSsize_t(PyList_GET_SIZE(pairs));
        PyObject *note = position ? PyTuple_Pack(3, position, known, raw) : NULL;
        Py_XDECREF(position);
        done = !note || PyList_Append(noted, note) < 0 || PyList_Append(pairs, Py_None) < 0 ? -1 : 0;
        Py_XDECREF(note);
    } else {
        done = PyList_Append(pairs, json);
    }
done:
    Py_XDECREF(known);
    Py_XDECREF(raw);
    Py_XDECREF(json);
    return done;
}

/* walk(pairs, vocabulary, pair_json, fragment) -> (pairs with gaps, noted) */
PyObject *native_walk(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 4 || !Py_IS_TYPE(arguments[0], &Pairs_Type) || !PyDict_Check(arguments[1]))
        return PyErr_Format(PyExc_TypeError, "walk takes Pairs, a vocabulary, pair_json and fragment");
    const Pairs *self = (const Pairs *)arguments[0];
    const Walk walk = {arguments[1], arguments[2], arguments[3]};
    PyObject *pairs = PyList_New(0), *noted = PyList_New(0);
    const uint8_t *at = (const uint8_t *)PyBytes_AS_STRING(self->body) + self->start, *end = at + self->length;
    while (pairs && noted && at < end) {
        uint64_t tag, length;
        if (!(at = read_varint(at, end, &tag)) || !(at = read_varint(at, end, &length)) || length > (uint64_t)(end - at)) {
            PyErr_SetString(PyExc_SystemError, "a stretch of the wire changed");
            Py_CLEAR(pairs);
            break;
        }
        if (walk_one(&walk, self->layout, at, (Py_ssize_t)length, pairs, noted) < 0)
            Py_CLEAR(pairs);
        at += length;
    }
    if (!pairs || !noted) {
        Py_XDECREF(pairs);
        Py_XDECREF(noted);
        return NULL;
    }
    return Py_BuildValue("NN", pairs, noted);
}
