/* Values and words picked out of a leaf that was parsed; twin of `trails.facts`.
 *
 *     Picker([(key, inner or None), ...], not_words, not_words_inside)
 *         .pick(leaf)  -> a value for each path, None where there is none
 *         .words(leaf) -> every token in it that is a word, joined by spaces
 *
 * What the paths are, and what is no word, is said in Python. AttributeError where an object is something else.
 */
#include "native.h"

typedef struct {
    PyObject_HEAD
    PyObject *paths, *not_words, *not_inside, *space, *id, *trace_id, *span_id, *interaction;
} Picker;

static PyObject *picker_new(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(keywords))
{
    PyObject *paths, *not_words, *not_inside;
    if (!PyArg_ParseTuple(arguments, "O!O!O!", &PyTuple_Type, &paths, &PyFrozenSet_Type, &not_words, &PyFrozenSet_Type,
                          &not_inside))
        return NULL;
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(paths); at++) {
        PyObject *path = PyTuple_GET_ITEM(paths, at);
        if (!PyTuple_CheckExact(path) || PyTuple_GET_SIZE(path) != 2)
            return PyErr_Format(PyExc_TypeError, "a path is (key, inner or None)");
    }
    Picker *self = (Picker *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->paths = Py_NewRef(paths);
    self->not_words = Py_NewRef(not_words);
    self->not_inside = Py_NewRef(not_inside);
    self->space = PyUnicode_InternFromString(" ");
    self->id = PyUnicode_InternFromString("id");
    self->trace_id = PyUnicode_InternFromString("trace_id");
    self->span_id = PyUnicode_InternFromString("span_id");
    self->interaction = PyUnicode_InternFromString("interaction");
    if (!self->space || !self->id || !self->trace_id || !self->span_id || !self->interaction)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void picker_free(Picker *self)
{
    Py_XDECREF(self->paths);
    Py_XDECREF(self->not_words);
    Py_XDECREF(self->not_inside);
    Py_XDECREF(self->space);
    Py_XDECREF(self->id);
    Py_XDECREF(self->trace_id);
    Py_XDECREF(self->span_id);
    Py_XDECREF(self->interaction);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *picker_pick(Picker *self, PyObject *leaf)
{
    if (!PyDict_CheckExact(leaf))
        return PyErr_Format(PyExc_TypeError, "a leaf is a dict");
    Py_ssize_t count = PyTuple_GET_SIZE(self->paths);
    PyObject *values = PyTuple_New(count);
    for (Py_ssize_t at = 0; values && at < count; at++) {
        PyObject *path = PyTuple_GET_ITEM(self->paths, at), *inner = PyTuple_GET_ITEM(path, 1);
        PyObject *value = PyDict_GetItemWithError(leaf, PyTuple_GET_ITEM(path, 0));
        if (value && inner != Py_None) {
            if (!PyDict_CheckExact(value)) {
                Py_DECREF(values);
                return PyErr_Format(PyExc_AttributeError, "%S of a leaf is no object", PyTuple_GET_ITEM(path, 0));
            }
            value = PyDict_GetItemWithError(value, inner);
        }
        if (!value && PyErr_Occurred())
            Py_CLEAR(values);
        else
            PyTuple_SET_ITEM(values, at, Py_NewRef(value ? value : Py_None));
    }
    return values;
}

/* Words inside an object of the leaf; `skip` is a key that is none, or NULL. Leaves are nested as deep as RECORD says,
 * and the parser that made this one has a limit of its own. */
static int add_words(Picker *self, PyObject *words, PyObject *facts, PyObject *skip)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (Py_EnterRecursiveCall(" in a leaf"))
        return -1;
    int failed = 0;
    while (!failed && PyDict_Next(facts, &at, &key, &value)) {
        int none = PySet_Contains(self->not_inside, key);
        if (none == 0 && skip)
            none = PyObject_RichCompareBool(key, skip, Py_EQ);
        if (none != 0) {
            failed = none < 0;
        } else if (PyUnicode_CheckExact(value)) {
            failed = PyList_Append(words, value) < 0;
        } else if (PyDict_CheckExact(value)) {
            int of_span = PyDict_Contains(value, self->span_id);
            failed = of_span < 0 || add_words(self, words, value, of_span ? self->trace_id : NULL) < 0;
        } else if (PyList_CheckExact(value)) {
            for (Py_ssize_t one = 0; !failed && one < PyList_GET_SIZE(value); one++)
                if (PyUnicode_CheckExact(PyList_GET_ITEM(value, one)))
                    failed = PyList_Append(words, PyList_GET_ITEM(value, one)) < 0;
        }
    }
    Py_LeaveRecursiveCall();
    return failed ? -1 : 0;
}

static PyObject *picker_words(Picker *self, PyObject *leaf)
{
    PyObject *key, *value, *words, *joined = NULL;
    Py_ssize_t at = 0;
    if (!PyDict_CheckExact(leaf))
        return PyErr_Format(PyExc_TypeError, "a leaf is a dict");
    if (!(words = PyList_New(0)))
        return NULL;
    int failed = 0;
    while (!failed && PyDict_Next(leaf, &at, &key, &value)) {
        int none = PySet_Contains(self->not_words, key);
        if (none != 0) {
            failed = none < 0;
        } else if (PyUnicode_CheckExact(value)) {
            failed = PyList_Append(words, value) < 0;
        } else if (PyDict_CheckExact(value)) {
            int about = PyObject_RichCompareBool(key, self->interaction, Py_EQ);
            failed = about < 0 || add_words(self, words, value, about ? self->id : NULL) < 0;
        }
    }
    if (!failed)
        joined = PyUnicode_Join(self->space, words);
    Py_DECREF(words);
    return joined;
}

static PyMethodDef picker_methods[] = {
    {"pick", (PyCFunction)picker_pick, METH_O, "A value for each path."},
    {"words", (PyCFunction)picker_words, METH_O, "The words of a leaf."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Picker_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "counterfoil.mapping._native.Picker",
    .tp_doc = "Picks values and words out of leaves.",
    .tp_basicsize = sizeof(Picker),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = picker_new,
    .tp_dealloc = (destructor)picker_free,
    .tp_methods = picker_methods,
};
