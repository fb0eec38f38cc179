/* One message of the wire as a Python object.
 *
 * An `Item` has the attributes of the protobuf library's message of the same type, read from the wire when they are
 * asked for. Whatever it does not have itself (a method, a field of another shape) it asks the library's message for,
 * made from the same bytes; so whoever reads items need not know which of the two he has.
 */
#include "native.h"

typedef struct {
    PyObject_VAR_HEAD
    Layout *layout;
    const Message *message;
    PyObject *body;
    uint32_t start, length;
    Slot slots[1];  /* one for each field */
} Item;

const uint8_t *bytes_of(PyObject *body)
{
    return (const uint8_t *)PyBytes_AS_STRING(body);
}

/* The protobuf library's message of these bytes. */
PyObject *stock_message(const Message *message, const uint8_t *at, Py_ssize_t length)
{
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)at, length);
    if (!bytes)
        return NULL;
    PyObject *made = PyObject_CallMethod(message->stock, "FromString", "O", bytes);
    Py_DECREF(bytes);
    return made;
}

/* A new Item of a stretch of `body`, or NULL: without an exception where the stretch is not canonical. */
PyObject *item_new(Layout *layout, const Message *message, PyObject *body, const uint8_t *at, Py_ssize_t length)
{
    Item *self = PyObject_NewVar(Item, &Item_Type, message->field_count);
    if (!self)
        return NULL;
    self->layout = (Layout *)Py_NewRef((PyObject *)layout);
    self->message = message;
    self->body = Py_NewRef(body);
    self->start = (uint32_t)(at - bytes_of(body));
    self->length = (uint32_t)length;
    for (int index = 0; index < message->field_count; index++)
        self->slots[index] = (Slot){0, 0, 0, 0};
    if (!is_canonical(layout, message, bytes_of(body), at, at + length, 0, self->slots)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void item_free(Item *self)
{
    Py_DECREF(self->layout);
    Py_DECREF(self->body);
    PyObject_Free(self);
}

static PyObject *stock_of(Item *self)
{
    return stock_message(self->message, bytes_of(self->body) + self->start, self->length);
}

/* A message below this one: AnyValue as the library's, any other as an Item. */
static PyObject *inner_message(Item *self, const Message *message, const uint8_t *at, Py_ssize_t length)
{
    if (message == &self->layout->messages[self->layout->value])
        return stock_message(message, at, length);
    PyObject *made = item_new(self->layout, message, self->body, at, length);
    if (!made && !PyErr_Occurred())
        made = stock_message(message, at, length);
    return made;
}

static PyObject *repeated_messages(Item *self, const Field *field, const Slot *slot)
{
    if (field->message == self->layout->pair) {
        Pairs *pairs = PyObject_New(Pairs, &Pairs_Type);
        if (!pairs)
            return NULL;
        pairs->layout = (Layout *)Py_NewRef((PyObject *)self->layout);
        pairs->body = Py_NewRef(self->body);
        pairs->start = slot->start;
        pairs->length = slot->length;
        pairs->count = slot->count;
        return (PyObject *)pairs;
    }
    PyObject *list = PyList_New(0);
    const uint8_t *at = bytes_of(self->body) + slot->start, *end = at + slot->length;
    while (list && at < end) {
        uint64_t tag, length;
        if (!(at = read_varint(at, end, &tag)) || !(at = read_varint(at, end, &length)) || length > (uint64_t)(end - at)) {
            Py_DECREF(list);
            return PyErr_Format(PyExc_SystemError, "a stretch of the wire changed");
        }
        PyObject *one = inner_message(self, &self->layout->messages[field->message], at, (Py_ssize_t)length);
        if (!one || PyList_Append(list, one) < 0)
            Py_CLEAR(list);
        Py_XDECREF(one);
        at += length;
    }
    return list;
}

/* The value of one field; NULL without an exception where this file cannot make it. */
static PyObject *field_value(Item *self, int index)
{
    const Field *field = &self->message->fields[index];
    const Slot *slot = &self->slots[index];
    const uint8_t *at = bytes_of(self->body) + slot->start;
    if (field->repeated)
        return field->kind == KIND_MESSAGE ? repeated_messages(self, field, slot) : NULL;
    switch (field->kind) {
    case KIND_UINT64: case KIND_UINT32: case KIND_ENUM: case KIND_FIXED64: case KIND_FIXED32:
        return PyLong_FromUnsignedLongLong(slot->number);
    case KIND_INT64:
        return PyLong_FromLongLong((int64_t)slot->number);
    case KIND_BOOL:
        return PyBool_FromLong((long)slot->number);
    case KIND_STRING:
        return PyUnicode_DecodeUTF8((const char *)at, slot->length, NULL);
    case KIND_BYTES:
        return PyBytes_FromStringAndSize((const char *)at, slot->length);
    case KIND_MESSAGE:
        return slot->count ? inner_message(self, &self->layout->messages[field->message], at, slot->length) : NULL;
    default:
        return NULL;
    }
}

static PyObject *item_getattr(Item *self, PyObject *name)
{
    PyObject *place = PyDict_GetItemWithError(self->message->names, name);
    PyObject *value = NULL;
    if (place)
        value = field_value(self, (int)PyLong_AsLong(place));
    else if (!PyErr_Occurred()) {
        value = PyObject_GenericGetAttr((PyObject *)self, name);
        if (!value && PyErr_ExceptionMatches(PyExc_AttributeError))
            PyErr_Clear();
    }
    if (value || PyErr_Occurred())
        return value;
    PyObject *stock = stock_of(self);
    if (!stock)
        return NULL;
    value = PyObject_GetAttr(stock, name);
    Py_DECREF(stock);
    return value;
}

static PyObject *item_has_field(Item *self, PyObject *name)
{
    PyObject *place = PyDict_GetItemWithError(self->message->names, name);
    if (place) {
        const Field *field = &self->message->fields[PyLong_AsLong(place)];
        if (field->presence && !field->repeated)
            return PyBool_FromLong(self->slots[PyLong_AsLong(place)].count != 0);
    }
    if (PyErr_Occurred())
        return NULL;
    PyObject *stock = stock_of(self);  /* it knows how to refuse */
    if (!stock)
        return NULL;
    PyObject *answer = PyObject_CallMethod(stock, "HasField", "O", name);
    Py_DECREF(stock);
    return answer;
}

static PyObject *item_serialize(Item *self, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    return PyBytes_FromStringAndSize((const char *)bytes_of(self->body) + self->start, self->length);
}

static PyMethodDef item_methods[] = {
    {"HasField", (PyCFunction)item_has_field, METH_O, "Whether a field with presence is there."},
    {"SerializeToString", (PyCFunction)(void (*)(void))item_serialize, METH_VARARGS | METH_KEYWORDS,
     "The deterministic serialisation: the bytes as they came."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Item_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "counterfoil.mapping._native.Item",
    .tp_doc = "A message on the wire, in canonical form.",
    .tp_basicsize = sizeof(Item),
    .tp_itemsize = sizeof(Slot),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)item_free,
    .tp_getattro = (getattrofunc)item_getattr,
    .tp_methods = item_methods,
};

/* -- Pairs: a list of KeyValue ---------------------------------------------------------------------------------- */

static void pairs_free(Pairs *self)
{
    Py_DECREF(self->layout);
    Py_DECREF(self->body);
    PyObject_Free(self);
}

static Py_ssize_t pairs_length(Pairs *self)
{
    return self->count;
}

/* Iterating gives the library's messages, for whoever wants more than `walk`. */
static PyObject *pairs_iter(Pairs *self)
{
    const Message *message = &self->layout->messages[self->layout->pair];
    PyObject *list = PyList_New(0);
    const uint8_t *at = bytes_of(self->body) + self->start, *end = at + self->length;
    while (list && at < end) {
        uint64_t tag, length;
        if (!(at = read_varint(at, end, &tag)) || !(at = read_varint(at, end, &length)) || length > (uint64_t)(end - at)) {
            Py_DECREF(list);
            return PyErr_Format(PyExc_SystemError, "a stretch of the wire changed");
        }
        PyObject *one = stock_message(message, at, (Py_ssize_t)length);
        if (!one || PyList_Append(list, one) < 0)
            Py_CLEAR(list);
        Py_XDECREF(one);
        at += length;
    }
    if (!list)
        return NULL;
    PyObject *iterator = PyObject_GetIter(list);
    Py_DECREF(list);
    return iterator;
}

static PySequenceMethods pairs_sequence = {.sq_length = (lenfunc)pairs_length};

PyTypeObject Pairs_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "counterfoil.mapping._native.Pairs",
    .tp_doc = "A list of KeyValue on the wire.",
    .tp_basicsize = sizeof(Pairs),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)pairs_free,
    .tp_as_sequence = &pairs_sequence,
    .tp_iter = (getiterfunc)pairs_iter,
};
