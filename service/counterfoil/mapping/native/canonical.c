/* Is this wire form exactly what a deterministic encoder prints?
 *
 * The identity of an item is the deterministic serialisation of its message (RECORD 8): fields by rising number, no
 * field twice that is not repeated, varints of the least length, no default value where its presence is not kept,
 * nothing unknown. Most exporters send just that, and then the bytes of the request *are* the identity. Whatever is
 * not, is read by the protobuf library, which knows every other form.
 *
 * The types come from the library's descriptors (`mapping/wire.py`), so a newer opentelemetry-proto needs no line here.
 */
#include "native.h"
#include <string.h>

/* A varint of the least length; NULL at the end of the bytes, or where it is longer than it need be. */
const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (at < end && *at < 0x80) {
        *value = *at;
        return at + 1;
    }
    uint64_t sum = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (at == end)
            return NULL;
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1)
            return NULL;  /* more than 64 bits */
        sum |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = sum;
            return byte ? at : NULL;  /* a last byte of zero adds nothing */
        }
    }
    return NULL;
}

static const uint8_t WIRE_TYPE[KIND_COUNT] = {
    [KIND_OTHER] = 255, [KIND_UINT64] = 0, [KIND_INT64] = 0, [KIND_UINT32] = 0, [KIND_ENUM] = 0, [KIND_BOOL] = 0,
    [KIND_FIXED64] = 1, [KIND_DOUBLE] = 1, [KIND_FIXED32] = 5, [KIND_STRING] = 2, [KIND_BYTES] = 2, [KIND_MESSAGE] = 2,
};

/* 1 where [at, end) is the deterministic form of a message, 0 where it is not or may not be. With `slots` (one for each
 * field, zeroed by the caller) it also says where each field lies, counted from `base`. */
int is_canonical(const Layout *layout, const Message *message, const uint8_t *base, const uint8_t *at,
                 const uint8_t *end, int depth, Slot *slots)
{
    if (depth > MAX_MESSAGE_DEPTH)
        return 0;
    const Field *field = message->fields, *last = field + message->field_count;
    uint64_t tag, number, oneofs = 0;
    uint32_t before = 0;
    while (at < end) {
        const uint8_t *start = at;
        if (!(at = read_varint(at, end, &tag)))
            return 0;
        uint64_t wanted = tag >> 3;
        while (field < last && field->number < wanted)
            field++;
        if (field == last || field->number != wanted || (tag & 7) != WIRE_TYPE[field->kind])
            return 0;
        if (field->number == before && !field->repeated)
            return 0;
        before = field->number;
        if (field->oneof >= 0) {
            uint64_t bit = UINT64_C(1) << field->oneof;
            if (oneofs & bit)
                return 0;
            oneofs |= bit;
        }
        Slot slot = {0, 0, 0, 1};
        switch (WIRE_TYPE[field->kind]) {
        case 0:
            if (!(at = read_varint(at, end, &number)))
                return 0;
            if ((field->kind == KIND_UINT32 && number > UINT32_MAX) || (field->kind == KIND_ENUM && number > INT32_MAX)
                || (field->kind == KIND_BOOL && number > 1))
                return 0;
            slot.number = number;
            break;
        case 1:
        case 5: {
            Py_ssize_t size = WIRE_TYPE[field->kind] == 1 ? 8 : 4;
            if (end - at < size)
                return 0;
            number = 0;
            for (Py_ssize_t byte = 0; byte < size; byte++)
                number |= (uint64_t)at[byte] << (8 * byte);
            slot.number = number;
            at += size;
            break;
        }
        default:
            if (!(at = read_varint(at, end, &number)) || number > (uint64_t)(end - at))
                return 0;
            slot.start = (uint32_t)(at - base);
            slot.length = (uint32_t)number;
            if (field->kind == KIND_STRING && !is_utf8(at, (Py_ssize_t)number))
                return 0;
            if (field->kind == KIND_MESSAGE
                && !is_canonical(layout, &layout->messages[field->message], base, at, at + number, depth + 1, NULL))
                return 0;
            at += number;
        }
        if (!number && !field->presence && !field->repeated)
            return 0;  /* a default that says nothing is not printed */
        if (slots) {
            Slot *known = &slots[field - message->fields];
            if (field->repeated) {
                if (!known->count)
                    known->start = (uint32_t)(start - base);
                known->length = (uint32_t)(at - base) - known->start;
                known->count++;
            } else {
                *known = slot;
            }
        }
    }
    return 1;
}

/* Layout(messages, pair, value): messages are (stock class, [(name, number, kind, repeated, presence, oneof, message)])
 * with fields by rising number. */
static PyObject *layout_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *messages;
    int pair, value;
    if (keywords && PyDict_GET_SIZE(keywords))
        return PyErr_Format(PyExc_TypeError, "Layout takes no keywords");
    if (!PyArg_ParseTuple(arguments, "O!ii", &PyList_Type, &messages, &pair, &value))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(messages);
    if (count < 1 || count > 256 || pair < 0 || pair >= count || value < 0 || value >= count)
        return PyErr_Format(PyExc_ValueError, "a layout has 1 to 256 messages, KeyValue and AnyValue among them");
    Layout *self = (Layout *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->pair = pair;
    self->value = value;
    self->messages = PyMem_Calloc((size_t)count, sizeof(Message));
    if (!self->messages)
        goto failed;
    self->message_count = (int)count;
    for (Py_ssize_t index = 0; index < count; index++) {
        Message *message = &self->messages[index];
        PyObject *fields;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(messages, index), "OO!", &message->stock, &PyList_Type, &fields)) {
            message->stock = NULL;
            goto failed;
        }
        Py_INCREF(message->stock);
        message->names = PyDict_New();
        message->fields = PyMem_Calloc((size_t)PyList_GET_SIZE(fields) + 1, sizeof(Field));
        if (!message->names || !message->fields)
            goto failed;
        message->field_count = (int)PyList_GET_SIZE(fields);
        uint32_t before = 0;
        for (int at = 0; at < message->field_count; at++) {
            PyObject *name;
            unsigned int number, kind, repeated, presence;
            int oneof, inner;
            if (!PyArg_ParseTuple(PyList_GET_ITEM(fields, at), "UIIIIii", &name, &number, &kind, &repeated, &presence,
                                  &oneof, &inner))
                goto failed;
            if (number <= before || kind >= KIND_COUNT || oneof < -1 || oneof > 63
                || (kind == KIND_MESSAGE && (inner < 0 || inner >= count))) {
                PyErr_Format(PyExc_ValueError, "field %U is out of order or of no kind", name);
                goto failed;
            }
            message->fields[at] = (Field){number, (uint8_t)(repeated && kind != KIND_MESSAGE ? KIND_OTHER : kind),
                                          repeated != 0, presence != 0, (int8_t)oneof, inner};
            before = number;
            PyObject *place = PyLong_FromLong(at);
            int failed = !place || PyDict_SetItem(message->names, name, place) < 0;
            Py_XDECREF(place);
            if (failed)
                goto failed;
        }
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
}

static void layout_free(Layout *self)
{
    for (int index = 0; index < self->message_count; index++) {
        Py_XDECREF(self->messages[index].stock);
        Py_XDECREF(self->messages[index].names);
        PyMem_Free(self->messages[index].fields);
    }
    PyMem_Free(self->messages);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject Layout_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "counterfoil.mapping._native.Layout",
    .tp_doc = "Message types as the wire shows them.",
    .tp_basicsize = sizeof(Layout),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = layout_new,
    .tp_dealloc = (destructor)layout_free,
};
