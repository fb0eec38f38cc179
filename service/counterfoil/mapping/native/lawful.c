/* Facts against the rules of the core; twin of `log.lawful`.
 *
 *     Lawful(is_token, is_day).check(facts, tests, required) -> bool
 *
 * `tests` is a dict by key. A test is one of the numbers below, a frozenset of strings (an enumeration), a tuple
 * (tests, required) for an object, or a callable. False says that the facts may be unlawful: the core then says why.
 */
#include "native.h"
#include <string.h>

enum { TEST_TOKEN, TEST_TRACE_ID, TEST_SPAN_ID, TEST_TIME, TEST_INTEGER };

#define MAX_TOKEN_CHARS 128
#define DIGIT_RUN 7       /* RECORD 1: a run that may be a telephone, card or account number */
#define TIME_CHARS 30     /* 2026-01-01T00:00:00.000000000Z */
#define MAX_JSON_INTEGER INT64_C(9007199254740991)

typedef struct {
    PyObject_HEAD
    PyObject *is_token, *is_day;
} Lawful;

static PyObject *lawful_new(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(keywords))
{
    PyObject *is_token, *is_day;
    if (!PyArg_ParseTuple(arguments, "OO", &is_token, &is_day))
        return NULL;
    Lawful *self = (Lawful *)type->tp_alloc(type, 0);
    if (self) {
        self->is_token = Py_NewRef(is_token);
        self->is_day = Py_NewRef(is_day);
    }
    return (PyObject *)self;
}

static void lawful_free(Lawful *self)
{
    Py_XDECREF(self->is_token);
    Py_XDECREF(self->is_day);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int is_digit(char one)
{
    return one >= '0' && one <= '9';
}

static int is_letter(char one)
{
    return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z');
}

/* Whether a callable says yes of a value; -1 with an exception. */
int ask(PyObject *callable, PyObject *value)
{
    PyObject *answer = PyObject_CallOneArg(callable, value);
    int truth = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return truth;
}

/* 1: a token; 0: none; -1: it has a run of digits, so Python has to look for random ids (`core.rules.is_token`). */
int token_by_form(const char *text, Py_ssize_t length)
{
    if (length < 1 || length > MAX_TOKEN_CHARS || !(is_letter(text[0]) || is_digit(text[0])))
        return 0;
    int run = 0, longest = 0;
    for (Py_ssize_t index = 0; index < length; index++) {
        char one = text[index];
        if (is_digit(one)) {
            if (++run > longest)
                longest = run;
            continue;
        }
        run = 0;
        if (!is_letter(one) && (one == '\0' || !strchr("._:/+-", one)))
            return 0;
    }
    return longest < DIGIT_RUN ? 1 : -1;
}

static int test_hex(const char *text, Py_ssize_t length, Py_ssize_t wanted)
{
    int zero = 1;
    if (length != wanted)
        return 0;
    for (Py_ssize_t index = 0; index < length; index++) {
        if (!is_digit(text[index]) && !(text[index] >= 'a' && text[index] <= 'f'))
            return 0;
        zero &= text[index] == '0';
    }
    return !zero;
}

/* The clock here, the day in Python (which remembers it): most records of a batch are of one day. */
static int test_time(Lawful *self, const char *text, Py_ssize_t length)
{
    static const char form[] = "0000-00-00T00:00:00.000000000Z";
    if (length != TIME_CHARS)
        return 0;
    for (Py_ssize_t index = 0; index < TIME_CHARS; index++)
        if (form[index] == '0' ? !is_digit(text[index]) : text[index] != form[index])
            return 0;
    if (memcmp(text + 11, "24", 2) >= 0 || text[14] > '5' || text[17] > '5')
        return 0;
    PyObject *day = PyUnicode_FromStringAndSize(text, 11);
    if (!day)
        return -1;
    int answer = ask(self->is_day, day);
    Py_DECREF(day);
    return answer;
}

static int test_number(Lawful *self, long number, PyObject *value)
{
    if (number == TEST_INTEGER) {
        int over;
        if (!PyLong_CheckExact(value))
            return 0;
        long long integer = PyLong_AsLongLongAndOverflow(value, &over);
        return !over && integer >= 0 && integer <= MAX_JSON_INTEGER;
    }
    if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_ASCII(value))
        return 0;
    const char *text = (const char *)PyUnicode_DATA(value);
    Py_ssize_t length = PyUnicode_GET_LENGTH(value);
    switch (number) {
    case TEST_TOKEN: {
        int answer = token_by_form(text, length);
        return answer >= 0 ? answer : ask(self->is_token, value);
    }
    case TEST_TRACE_ID: return test_hex(text, length, 32);
    case TEST_SPAN_ID: return test_hex(text, length, 16);
    case TEST_TIME: return test_time(self, text, length);
    default:
        PyErr_SetString(PyExc_ValueError, "no such test");
        return -1;
    }
}

static int test_object(Lawful *self, PyObject *value, PyObject *tests, PyObject *required);

static int test_value(Lawful *self, PyObject *test, PyObject *value)
{
    if (PyLong_CheckExact(test))
        return test_number(self, PyLong_AsLong(test), value);
    if (PyFrozenSet_CheckExact(test))
        return PyUnicode_CheckExact(value) ? PySet_Contains(test, value) : 0;
    if (PyTuple_CheckExact(test) && PyTuple_GET_SIZE(test) == 2) {
        if (!PyDict_CheckExact(value) || !PyDict_GET_SIZE(value))
            return 0;
        return test_object(self, value, PyTuple_GET_ITEM(test, 0), PyTuple_GET_ITEM(test, 1));
    }
    return ask(test, value);
}

/* 1, 0, or -1 with an exception. Tests are as deep as the schema, never as deep as a value. */
static int test_object(Lawful *self, PyObject *value, PyObject *tests, PyObject *required)
{
    PyObject *key, *inner;
    Py_ssize_t at = 0;
    if (!PyDict_CheckExact(tests) || !PyTuple_CheckExact(required)) {
        PyErr_SetString(PyExc_TypeError, "tests are a dict, required keys a tuple");
        return -1;
    }
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(required); index++) {
        int there = PyDict_Contains(value, PyTuple_GET_ITEM(required, index));
        if (there != 1)
            return there;
    }
    Py_ssize_t size = PyDict_GET_SIZE(value);
    while (PyDict_Next(value, &at, &key, &inner)) {
        PyObject *test = PyDict_GetItemWithError(tests, key);
        if (!test)
            return PyErr_Occurred() ? -1 : 0;
        Py_INCREF(inner);
        int answer = test_value(self, test, inner);
        Py_DECREF(inner);
        if (answer != 1 || PyDict_GET_SIZE(value) != size)
            return answer == 1 ? 0 : answer;
    }
    return 1;
}

static PyObject *lawful_check(Lawful *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 3 || !PyDict_CheckExact(arguments[0]))
        return PyErr_Format(PyExc_TypeError, "check takes facts, tests and required keys");
    int answer = test_object(self, arguments[0], arguments[1], arguments[2]);
    return answer < 0 ? NULL : PyBool_FromLong(answer);
}

static PyMethodDef lawful_methods[] = {
    {"check", (PyCFunction)(void (*)(void))lawful_check, METH_FASTCALL, "Whether the facts pass their tests."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Lawful_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "counterfoil.mapping._native.Lawful",
    .tp_doc = "Tests facts against rules.",
    .tp_basicsize = sizeof(Lawful),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = lawful_new,
    .tp_dealloc = (destructor)lawful_free,
    .tp_methods = lawful_methods,
};
