/* Noted attributes offered to their targets, and the winners put where they belong; twins of `recognise.offer` and
 * `recognise._fill`.
 *
 *     Reader(Target, Known, is_token, interaction).offer(noted, pairs, kind, best, groups) -> contested
 *     Reader(...).fill(best, facts, fields) -> [(target, value) of neither]
 *
 * What an attribute means is in the targets, not here: which kinds it holds for, how its value is converted, which path
 * it becomes. Targets and what is known of a key are frozen dataclasses with slots; where a slot lies is asked of the
 * class once, so a field may be added to them without a line here.
 */
#include "native.h"

enum { T_KINDS, T_GATHERS, T_CONVERT, T_PATH, T_RANK, T_GOES_ON, T_PROMOTES, T_FIELD, T_PROMOTED, T_PARTS, T_COUNT };
static const char *const TARGET_SLOTS[T_COUNT] = {
    "kinds", "gathers", "convert", "path", "rank", "goes_on", "promotes", "field", "promoted", "parts",
};
enum { K_KEY, K_TARGETS, K_COUNT };
static const char *const KNOWN_SLOTS[K_COUNT] = {"key", "targets"};

typedef struct {
    PyObject_HEAD
    PyTypeObject *target, *known;
    PyObject *is_token, *interaction;
    Py_ssize_t in_target[T_COUNT], in_known[K_COUNT];
} Reader;

/* Where a slot of a class lies in its instances; -1 with an exception. */
static Py_ssize_t offset_of(PyTypeObject *type, const char *name)
{
    PyObject *found = PyDict_GetItemString(type->tp_dict, name);
    if (found && Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
        if (member->type == T_OBJECT_EX && member->offset > 0 && member->offset < type->tp_basicsize)
            return member->offset;
    }
    PyErr_Format(PyExc_TypeError, "%s has no slot %s", type->tp_name, name);
    return -1;
}

static PyObject *reader_new(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(keywords))
{
    PyObject *target, *known, *is_token, *interaction;
    if (!PyArg_ParseTuple(arguments, "O!O!OU", &PyType_Type, &target, &PyType_Type, &known, &is_token, &interaction))
        return NULL;
    Reader *self = (Reader *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->target = (PyTypeObject *)Py_NewRef(target);
    self->known = (PyTypeObject *)Py_NewRef(known);
    self->is_token = Py_NewRef(is_token);
    self->interaction = Py_NewRef(interaction);
    int failed = 0;
    for (int at = 0; at < T_COUNT; at++)
        failed |= (self->in_target[at] = offset_of(self->target, TARGET_SLOTS[at])) < 0;
    for (int at = 0; at < K_COUNT; at++)
        failed |= (self->in_known[at] = offset_of(self->known, KNOWN_SLOTS[at])) < 0;
    if (failed)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void reader_free(Reader *self)
{
    Py_XDECREF(self->target);
    Py_XDECREF(self->known);
    Py_XDECREF(self->is_token);
    Py_XDECREF(self->interaction);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* A slot of an object whose type was checked: a borrowed reference, or NULL with an exception. The objects are frozen
 * and held by the tables, so what a slot holds stays. */
static PyObject *slot_of(PyObject *object, Py_ssize_t offset)
{
    PyObject *value = *(PyObject **)((char *)object + offset);
    if (!value)
        PyErr_SetString(PyExc_AttributeError, "a slot is empty");
    return value;
}

static int is_type(PyObject *object, PyTypeObject *type)
{
    if (Py_IS_TYPE(object, type))
        return 1;
    PyErr_Format(PyExc_TypeError, "%s, not %s", type->tp_name, Py_TYPE(object)->tp_name);
    return 0;
}

/* 1, 0, or -1 with an exception: whether a string may stand in a leaf. */
static int is_token(Reader *self, PyObject *text)
{
    if (!PyUnicode_IS_ASCII(text))
        return 0;
    int answer = token_by_form((const char *)PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text));
    return answer >= 0 ? answer : ask(self->is_token, text);
}

/* {"key": key, "value": AnyValue object}: what stays of an attribute that is not promoted. */
static PyObject *pair_of(PyObject *key, PyObject *raw)
{
    if (PyUnicode_CheckExact(raw))
        return Py_BuildValue("{sOs{sO}}", "key", key, "value", "stringValue", raw);
    if (PyLong_CheckExact(raw)) {
        PyObject *digits = PyObject_Str(raw);
        return digits ? Py_BuildValue("{sOs{sN}}", "key", key, "value", "intValue", digits) : NULL;
    }
    if (PyBool_Check(raw))
        return Py_BuildValue("{sOs{sO}}", "key", key, "value", "boolValue", raw);
    if (PyFloat_CheckExact(raw))
        return Py_BuildValue("{sOs{sO}}", "key", key, "value", "doubleValue", raw);
    return Py_BuildValue("{sOsO}", "key", key, "value", raw);
}

/* Put `value`, a new reference or NULL with an exception, at a place of a list. */
static int put(PyObject *list, Py_ssize_t position, PyObject *value)
{
    if (!value)
        return -1;
    if (position < 0 || position >= PyList_GET_SIZE(list)) {
        Py_DECREF(value);
        PyErr_SetString(PyExc_IndexError, "a noted attribute stands nowhere");
        return -1;
    }
    return PyList_SetItem(list, position, value);
}

/* The value that a target makes of a raw one, a new reference; None where it does not fit. */
static PyObject *converted(Reader *self, PyObject *target, PyObject *raw)
{
    PyObject *convert = slot_of(target, self->in_target[T_CONVERT]);
    if (!convert)
        return NULL;
    if (convert != Py_None)
        return PyObject_CallOneArg(convert, raw);
    if (!PyUnicode_CheckExact(raw))
        return Py_NewRef(Py_None);
    int answer = is_token(self, raw);
    return answer < 0 ? NULL : Py_NewRef(answer ? raw : Py_None);
}

/* Note the position among those of a group. A group is told by its rank: several may want one path. */
static int gathered(PyObject *groups, PyObject *rank, PyObject *target, PyObject *position)
{
    PyObject *group = PyDict_GetItemWithError(groups, rank);
    if (group)
        return PyTuple_Check(group) && PyTuple_GET_SIZE(group) == 2
                   ? PyList_Append(PyTuple_GET_ITEM(group, 1), position) : -1;
    if (PyErr_Occurred())
        return -1;
    group = Py_BuildValue("O[O]", target, position);
    int failed = group ? PyDict_SetItem(groups, rank, group) : -1;
    Py_XDECREF(group);
    return failed;
}

/* The winner of a path: the lower rank, the first of equals. 1 where it was contested. */
static int compete(PyObject *best, PyObject *path, PyObject *rank, PyObject *target, PyObject *value)
{
    PyObject *before = PyDict_GetItemWithError(best, path);
    if (!before && PyErr_Occurred())
        return -1;
    int contested = before != NULL;
    if (before) {
        int wins = PyTuple_Check(before) && PyTuple_GET_SIZE(before) == 3
                       ? PyObject_RichCompareBool(rank, PyTuple_GET_ITEM(before, 0), Py_LT) : -1;
        if (wins <= 0)
            return wins < 0 ? -1 : contested;
    }
    PyObject *winner = PyTuple_Pack(3, rank, target, value);
    int failed = winner ? PyDict_SetItem(best, path, winner) : -1;
    Py_XDECREF(winner);
    return failed < 0 ? -1 : contested;
}

/* Whether the value, where it now stands, says exactly what the attribute said. */
static int is_exact(Reader *self, PyObject *target, PyObject *path, PyObject *raw, PyObject *value)
{
    PyObject *promotes = slot_of(target, self->in_target[T_PROMOTES]);
    PyObject *field = slot_of(target, self->in_target[T_FIELD]);
    if (!promotes || !field)
        return -1;
    if (promotes != Py_True)
        return 0;
    if (!PyUnicode_Check(field) || PyUnicode_GET_LENGTH(field))
        return 1;
    if (value != raw)
        return 0;
    int interaction = PyObject_RichCompareBool(path, self->interaction, Py_EQ);
    if (interaction <= 0)
        return interaction < 0 ? -1 : 1;
    return PyUnicode_CheckExact(raw) ? is_token(self, raw) : 0;
}

/* Offer one attribute to one target. 1: it is placed; 0: the next target; -1: an exception. */
static int offer_to(Reader *self, PyObject *target, PyObject *key, PyObject *position, PyObject *raw, PyObject *kind,
                    PyObject *pairs, PyObject *best, PyObject *groups, int *contested)
{
    if (!is_type(target, self->target))
        return -1;
    PyObject *kinds = slot_of(target, self->in_target[T_KINDS]);
    PyObject *path = slot_of(target, self->in_target[T_PATH]);
    PyObject *gathers = slot_of(target, self->in_target[T_GATHERS]);
    PyObject *goes_on = slot_of(target, self->in_target[T_GOES_ON]);
    PyObject *rank = slot_of(target, self->in_target[T_RANK]);
    if (!kinds || !path || !gathers || !goes_on || !rank)
        return -1;
    if (!PyAnySet_Check(kinds) || PySet_GET_SIZE(kinds)) {
        int holds = PySequence_Contains(kinds, kind);
        if (holds <= 0)
            return holds;
    }
    Py_ssize_t place = PyLong_AsSsize_t(position);
    if (place == -1 && PyErr_Occurred())
        return -1;
    if (gathers == Py_True)
        return gathered(groups, rank, target, position) < 0 || put(pairs, place, pair_of(key, raw)) < 0 ? -1 : 1;
    PyObject *value = converted(self, target, raw);
    if (!value || value == Py_None) {
        Py_XDECREF(value);
        return value ? 0 : -1;
    }
    int done = compete(best, path, rank, target, value);
    if (done >= 0) {
        *contested |= done;
        done = 0;
        if (goes_on != Py_True) {
            int exact = is_exact(self, target, path, raw, value);
            PyObject *left = exact > 0 ? Py_XNewRef(slot_of(target, self->in_target[T_PROMOTED]))
                           : exact == 0 ? pair_of(key, raw) : NULL;
            done = put(pairs, place, left) < 0 ? -1 : 1;
        }
    }
    Py_DECREF(value);
    return done;
}

static PyObject *reader_offer(Reader *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 5 || !PyList_CheckExact(arguments[0]) || !PyList_CheckExact(arguments[1])
        || !PyUnicode_Check(arguments[2]) || !PyDict_CheckExact(arguments[3]) || !PyDict_CheckExact(arguments[4]))
        return PyErr_Format(PyExc_TypeError, "offer takes noted, pairs, kind, best and groups");
    PyObject *noted = arguments[0], *pairs = arguments[1];
    int contested = 0;
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(noted); at++) {
        PyObject *note = Py_NewRef(PyList_GET_ITEM(noted, at));
        int done = -1;
        if (!PyTuple_Check(note) || PyTuple_GET_SIZE(note) != 3) {
            PyErr_SetString(PyExc_TypeError, "noted are (position, known, raw)");
        } else if (is_type(PyTuple_GET_ITEM(note, 1), self->known)) {
            PyObject *position = PyTuple_GET_ITEM(note, 0), *known = PyTuple_GET_ITEM(note, 1);
            PyObject *raw = PyTuple_GET_ITEM(note, 2);
            PyObject *key = slot_of(known, self->in_known[K_KEY]);
            PyObject *targets = slot_of(known, self->in_known[K_TARGETS]);
            if (key && targets && PyTuple_Check(targets)) {
                done = 0;
                for (Py_ssize_t one = 0; done == 0 && one < PyTuple_GET_SIZE(targets); one++)
                    done = offer_to(self, PyTuple_GET_ITEM(targets, one), key, position, raw, arguments[2], pairs,
                                    arguments[3], arguments[4], &contested);
                if (done == 0)  /* no target takes it: it stays where it was */
                    done = put(pairs, PyLong_AsSsize_t(position), pair_of(key, raw));
            } else if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_TypeError, "targets are a tuple");
            }
        }
        Py_DECREF(note);
        if (done < 0)
            return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "best or groups hold something else");
    }
    return PyBool_FromLong(contested);
}

/* facts[parts[0]][parts[1]]... = value */
static int put_fact(PyObject *facts, PyObject *parts, PyObject *value)
{
    Py_ssize_t last = PyTuple_GET_SIZE(parts) - 1;
    for (Py_ssize_t at = 0; at < last; at++) {
        PyObject *inner = PyDict_GetItemWithError(facts, PyTuple_GET_ITEM(parts, at));
        if (!inner) {
            PyObject *made = PyErr_Occurred() ? NULL : PyDict_New();
            int failed = made ? PyDict_SetItem(facts, PyTuple_GET_ITEM(parts, at), made) : -1;
            Py_XDECREF(made);  /* `facts` holds it */
            if (failed < 0)
                return -1;
            inner = made;
        }
        if (!PyDict_CheckExact(inner)) {
            PyErr_SetString(PyExc_TypeError, "a fact stands where an object belongs");
            return -1;
        }
        facts = inner;
    }
    return PyDict_SetItem(facts, PyTuple_GET_ITEM(parts, last), value);
}

static PyObject *reader_fill(Reader *self, PyObject *const *arguments, Py_ssize_t count)
{
    PyObject *path, *winner;
    Py_ssize_t at = 0;
    if (count != 3 || !PyDict_CheckExact(arguments[0]) || !PyDict_CheckExact(arguments[1])
        || !PyDict_CheckExact(arguments[2]))
        return PyErr_Format(PyExc_TypeError, "fill takes best, facts and fields");
    PyObject *others = PyList_New(0);
    while (others && PyDict_Next(arguments[0], &at, &path, &winner)) {
        int failed = -1;
        if (PyTuple_Check(winner) && PyTuple_GET_SIZE(winner) == 3
            && is_type(PyTuple_GET_ITEM(winner, 1), self->target)) {
            PyObject *target = PyTuple_GET_ITEM(winner, 1), *value = PyTuple_GET_ITEM(winner, 2);
            PyObject *parts = slot_of(target, self->in_target[T_PARTS]);
            PyObject *field = slot_of(target, self->in_target[T_FIELD]);
            if (parts && field && PyTuple_Check(parts)) {
                if (PyTuple_GET_SIZE(parts))
                    failed = put_fact(arguments[1], parts, value);
                else if (PyUnicode_Check(field) && PyUnicode_GET_LENGTH(field))
                    failed = PyDict_SetItem(arguments[2], field, value);
                else {
                    PyObject *other = PyTuple_Pack(2, target, value);
                    failed = other ? PyList_Append(others, other) : -1;
                    Py_XDECREF(other);
                }
            }
        }
        if (failed < 0) {
            Py_DECREF(others);
            return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "best holds something else");
        }
    }
    return others;
}

static PyMethodDef reader_methods[] = {
    {"offer", (PyCFunction)(void (*)(void))reader_offer, METH_FASTCALL, "Offer noted attributes to their targets."},
    {"fill", (PyCFunction)(void (*)(void))reader_fill, METH_FASTCALL, "Put winners to facts and fields."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Reader_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "counterfoil.mapping._native.Reader",
    .tp_doc = "Reads noted attributes by their targets.",
    .tp_basicsize = sizeof(Reader),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = reader_new,
    .tp_dealloc = (destructor)reader_free,
    .tp_methods = reader_methods,
};
