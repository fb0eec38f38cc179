/* A request cut into its items.
 *
 * The envelope is the same for traces and logs: request > groups (resource = 1, inner = 2, schema URL = 3) > groups
 * (scope = 1, items = 2, schema URL = 3). Where it is not plain (unknown fields, a resource in two pieces, too many
 * items, damaged) `split` returns None, and the request is read by the protobuf library. An item whose form is not
 * canonical (canonical.c) becomes the library's message.
 */
#include "native.h"

/* A length-delimited field: its number and its bytes. 0 at the end of the bytes or where it is anything else. */
static uint32_t next_field(const uint8_t **at, const uint8_t *end, const uint8_t **data, Py_ssize_t *length)
{
    uint64_t tag, size;
    const uint8_t *next = read_varint(*at, end, &tag);
    if (!next || (tag & 7) != 2 || tag >> 3 > 3 || !(next = read_varint(next, end, &size)) || size > (uint64_t)(end - next))
        return 0;
    *data = next;
    *length = (Py_ssize_t)size;
    *at = next + size;
    return (uint32_t)(tag >> 3);
}

typedef struct {
    Layout *layout;
    PyObject *body;
    Py_ssize_t count, limit;
} Split;

/* What stands beside the groups: (head or None, schema URL). Both levels have it as fields 1 and 3. */
typedef struct {
    const uint8_t *head, *url;
    Py_ssize_t head_length, url_length;
} Beside;

static PyObject *head_of(const Beside *beside)
{
    if (!beside->head)
        return Py_NewRef(Py_None);
    return PyBytes_FromStringAndSize((const char *)beside->head, beside->head_length);
}

static PyObject *url_of(const Beside *beside)
{
    return PyUnicode_DecodeUTF8((const char *)beside->url, beside->url ? beside->url_length : 0, NULL);
}

/* 1: taken, 0: not plain. */
static int take_beside(Beside *beside, uint32_t number, const uint8_t *data, Py_ssize_t length)
{
    if (number == 1 && !beside->head) {
        beside->head = data;
        beside->head_length = length;
        return 1;
    }
    if (number == 3 && !beside->url && is_utf8(data, length)) {
        beside->url = data;
        beside->url_length = length;
        return 1;
    }
    return 0;
}

/* (scope or None, schema URL, items, positions of those that are the library's); NULL: not plain, or an exception. */
static PyObject *split_inner(Split *split, const uint8_t *at, const uint8_t *end)
{
    Beside beside = {NULL, NULL, 0, 0};
    PyObject *items = PyList_New(0), *foreign = PyList_New(0), *made = NULL;
    while (items && foreign && at < end) {
        const uint8_t *data;
        Py_ssize_t length;
        uint32_t number = next_field(&at, end, &data, &length);
        if (number == 2) {
            if (++split->count > split->limit)
                goto done;
            PyObject *item = item_new(split->layout, split->layout->messages, split->body, data, length);
            if (!item && !PyErr_Occurred()) {
                item = stock_message(split->layout->messages, data, length);
                PyObject *position = item ? PyLong_FromSsize_t(PyList_GET_SIZE(items)) : NULL;
                if (position && PyList_Append(foreign, position) < 0)
                    Py_CLEAR(item);
                Py_XDECREF(position);
            }
            int failed = !item || PyList_Append(items, item) < 0;
            Py_XDECREF(item);
            if (failed)
                goto done;
        } else if (!number || !take_beside(&beside, number, data, length)) {
            goto done;
        }
    }
    if (items && foreign)
        made = Py_BuildValue("NNOO", head_of(&beside), url_of(&beside), items, foreign);
done:
    Py_XDECREF(items);
    Py_XDECREF(foreign);
    return made;
}

/* (resource or None, schema URL, [inner]). */
static PyObject *split_outer(Split *split, const uint8_t *at, const uint8_t *end)
{
    Beside beside = {NULL, NULL, 0, 0};
    PyObject *groups = PyList_New(0), *made = NULL;
    while (groups && at < end) {
        const uint8_t *data;
        Py_ssize_t length;
        uint32_t number = next_field(&at, end, &data, &length);
        if (number == 2) {
            PyObject *group = split_inner(split, data, data + length);
            int failed = !group || PyList_Append(groups, group) < 0;
            Py_XDECREF(group);
            if (failed)
                goto done;
        } else if (!number || !take_beside(&beside, number, data, length)) {
            goto done;
        }
    }
    if (groups)
        made = Py_BuildValue("NNO", head_of(&beside), url_of(&beside), groups);
done:
    Py_XDECREF(groups);
    return made;
}

/* split(body, layout, limit) -> [outer] or None. */
PyObject *native_split(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Split split = {NULL, NULL, 0, 0};
    if (!PyArg_ParseTuple(arguments, "SO!n", &split.body, &Layout_Type, &split.layout, &split.limit))
        return NULL;
    if (PyBytes_GET_SIZE(split.body) > INT32_MAX)
        Py_RETURN_NONE;
    const uint8_t *at = bytes_of(split.body), *end = at + PyBytes_GET_SIZE(split.body);
    PyObject *groups = PyList_New(0);
    while (groups && at < end) {
        const uint8_t *data;
        Py_ssize_t length;
        PyObject *group = NULL;
        if (next_field(&at, end, &data, &length) == 1)
            group = split_outer(&split, data, data + length);
        if (!group || PyList_Append(groups, group) < 0)
            Py_CLEAR(groups);
        Py_XDECREF(group);
    }
    if (groups)
        return groups;
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}
