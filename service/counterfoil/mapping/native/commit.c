/* Content fields to disclosures and digests (RECORD 4; RFC 9901, section 4.2); twin of `log.sealer`.
 *
 *     Committer(sha256, dumps, limit).commit([(name, value), ...], salts, at) -> (body, content)
 *
 * `body` is what is sealed: for each field the size of its disclosure in 4 bytes, big-endian, and the disclosure, the
 * JSON array [salt, name, value]. `content` is the leaf's object of that name, printed: names rising, each with the
 * base64url of SHA-256 over the base64url of the disclosure. Salts are characters of base64url, 24 for each field.
 *
 * None where Python has to do it: a value over the limit (a blob), a value that is no JSON, a name that is not ASCII or
 * is there twice. The hash is that of `hashlib`: no cryptography is written here.
 */
#include "native.h"
#include <string.h>

#define SALT_CHARS 24
#define HASH_BYTES 32
#define DIGEST_CHARS 43
#define MOST_FIELDS 256

typedef struct {
    PyObject_HEAD
    PyObject *sha256, *dumps, *digest_name;
    Py_ssize_t limit;
} Committer;

/* One field while it is committed to. `value` is a string to be printed (as_string) or JSON already. */
typedef struct {
    const uint8_t *name, *value;
    Py_ssize_t name_length, length;
    PyObject *field; /* keeps name and value alive */
    PyObject *json;  /* owner of `value`, where it is not a string of the caller */
    char digest[DIGEST_CHARS];
} One;

static PyObject *committer_new(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(keywords))
{
    PyObject *sha256, *dumps;
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(arguments, "OOn", &sha256, &dumps, &limit))
        return NULL;
    Committer *self = (Committer *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->sha256 = Py_NewRef(sha256);
    self->dumps = Py_NewRef(dumps);
    self->limit = limit;
    if (!(self->digest_name = PyUnicode_InternFromString("digest")))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void committer_free(Committer *self)
{
    Py_XDECREF(self->sha256);
    Py_XDECREF(self->dumps);
    Py_XDECREF(self->digest_name);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* 1: taken; 0: left to Python; -1: an exception. */
static int take_field(Committer *self, PyObject *field, One *one)
{
    if (!PyTuple_CheckExact(field) || PyTuple_GET_SIZE(field) != 2)
        return 0;
    PyObject *name = PyTuple_GET_ITEM(field, 0), *value = PyTuple_GET_ITEM(field, 1);
    if (!PyUnicode_CheckExact(name) || !PyUnicode_IS_ASCII(name))
        return 0;
    one->name = (const uint8_t *)PyUnicode_AsUTF8AndSize(name, &one->name_length);
    if (!one->name)
        return -1;
    if (PyUnicode_CheckExact(value)) {
        one->value = (const uint8_t *)PyUnicode_AsUTF8AndSize(value, &one->length);
        if (!one->value && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
            PyErr_Clear();
            return 0;
        }
        return one->value ? 1 : -1;
    }
    one->json = PyObject_CallOneArg(self->dumps, value);
    if (!one->json && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        return 0;
    }
    if (!one->json || !PyBytes_CheckExact(one->json))
        return one->json ? 0 : -1;
    one->value = (const uint8_t *)PyBytes_AS_STRING(one->json);
    one->length = PyBytes_GET_SIZE(one->json);
    return 1;
}

/* How long the disclosure of a field is. */
static Py_ssize_t disclosure_size(const One *one)
{
    Py_ssize_t value = one->json ? one->length : json_size(one->value, one->length) + 2;
    return 2 + SALT_CHARS + 3 + json_size(one->name, one->name_length) + 2 + value + 1;
}

/* Write the disclosure of a field: ["salt","name",value] */
static uint8_t *write_disclosure(uint8_t *to, const char *salt, const One *one)
{
    memcpy(to, "[\"", 2);
    memcpy(to + 2, salt, SALT_CHARS);
    memcpy(to + 2 + SALT_CHARS, "\",\"", 3);
    to = json_write(to + 2 + SALT_CHARS + 3, one->name, one->name_length);
    memcpy(to, "\",", 2);
    to += 2;
    if (one->json) {
        memcpy(to, one->value, (size_t)one->length);
        to += one->length;
    } else {
        *to++ = '"';
        to = json_write(to, one->value, one->length);
        *to++ = '"';
    }
    *to++ = ']';
    return to;
}

/* The digest of a disclosure into `one`; -1 with an exception. */
static int take_digest(Committer *self, One *one, const uint8_t *disclosure, Py_ssize_t length)
{
    PyObject *text = PyBytes_FromStringAndSize(NULL, base64url_size(length));
    if (!text)
        return -1;
    base64url_write((uint8_t *)PyBytes_AS_STRING(text), disclosure, length);
    PyObject *hash = PyObject_CallOneArg(self->sha256, text);
    Py_DECREF(text);
    PyObject *digest = hash ? PyObject_CallMethodNoArgs(hash, self->digest_name) : NULL;
    Py_XDECREF(hash);
    if (!digest)
        return -1;
    if (!PyBytes_CheckExact(digest) || PyBytes_GET_SIZE(digest) != HASH_BYTES) {
        Py_DECREF(digest);
        PyErr_SetString(PyExc_TypeError, "SHA-256 has 32 bytes");
        return -1;
    }
    base64url_write((uint8_t *)one->digest, (const uint8_t *)PyBytes_AS_STRING(digest), HASH_BYTES);
    Py_DECREF(digest);
    return 0;
}

/* -1, 0 or 1 as two names follow each other in the leaf: by their bytes, which is the order of RFC 8785 for ASCII. */
static int compare(const One *left, const One *right)
{
    Py_ssize_t shared = left->name_length < right->name_length ? left->name_length : right->name_length;
    int order = memcmp(left->name, right->name, (size_t)shared);
    if (order)
        return order;
    return (left->name_length > right->name_length) - (left->name_length < right->name_length);
}

/* The leaf's `content`, printed; NULL without an exception where a name is there twice. */
static PyObject *print_content(const One *fields, Py_ssize_t count)
{
    const One *sorted[MOST_FIELDS];
    Py_ssize_t size = count ? 1 : 2;
    for (Py_ssize_t index = 0; index < count; index++) {
        Py_ssize_t at = index;
        for (; at > 0 && compare(&fields[index], sorted[at - 1]) < 0; at--)
            sorted[at] = sorted[at - 1];
        if (at > 0 && compare(&fields[index], sorted[at - 1]) == 0)
            return NULL;
        sorted[at] = &fields[index];
        size += 1 + json_size(fields[index].name, fields[index].name_length) + 3 + DIGEST_CHARS + 2;
    }
    PyObject *content = PyBytes_FromStringAndSize(NULL, size);
    if (!content)
        return NULL;
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(content);
    *to++ = '{';
    for (Py_ssize_t index = 0; index < count; index++) {
        if (index)
            *to++ = ',';
        *to++ = '"';
        to = json_write(to, sorted[index]->name, sorted[index]->name_length);
        memcpy(to, "\":\"", 3);
        memcpy(to + 3, sorted[index]->digest, DIGEST_CHARS);
        to += 3 + DIGEST_CHARS;
        *to++ = '"';
    }
    *to++ = '}';
    return content;
}

static PyObject *committer_commit(Committer *self, PyObject *arguments)
{
    PyObject *list, *salts, *body = NULL, *content = NULL;
    Py_ssize_t at;
    if (!PyArg_ParseTuple(arguments, "O!Sn", &PyList_Type, &list, &salts, &at))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(list);
    if (at < 0 || count > MOST_FIELDS || (PyBytes_GET_SIZE(salts) - at) / SALT_CHARS < count)
        Py_RETURN_NONE;
    One fields[MOST_FIELDS];
    memset(fields, 0, (size_t)count * sizeof *fields);
    int taken = 1;
    Py_ssize_t size = 0;
    for (Py_ssize_t index = 0; taken == 1 && index < count; index++) {
        /* `dumps` runs Python, which could change the list: hold what is read. */
        fields[index].field = index < PyList_GET_SIZE(list) ? Py_NewRef(PyList_GET_ITEM(list, index)) : NULL;
        taken = fields[index].field ? take_field(self, fields[index].field, &fields[index]) : 0;
        if (taken != 1)
            break;
        Py_ssize_t one = disclosure_size(&fields[index]);
        if (one > self->limit)
            taken = 0;
        size += 4 + one;
    }
    if (taken == 1)
        body = PyBytes_FromStringAndSize(NULL, size);
    if (body) {
        uint8_t *to = (uint8_t *)PyBytes_AS_STRING(body);
        for (Py_ssize_t index = 0; index < count; index++) {
            const char *salt = PyBytes_AS_STRING(salts) + at + index * SALT_CHARS;
            uint8_t *end = write_disclosure(to + 4, salt, &fields[index]);
            uint32_t length = (uint32_t)(end - to - 4);
            for (int byte = 0; byte < 4; byte++)
                to[byte] = (uint8_t)(length >> (24 - 8 * byte));
            if (take_digest(self, &fields[index], to + 4, length) < 0) {
                taken = -1;
                break;
            }
            to = end;
        }
        if (taken == 1 && !(content = print_content(fields, count)))
            taken = PyErr_Occurred() ? -1 : 0;
    } else if (taken == 1) {
        taken = -1;
    }
    for (Py_ssize_t index = 0; index < count; index++) {
        Py_XDECREF(fields[index].json);
        Py_XDECREF(fields[index].field);
    }
    if (taken == 1)
        return Py_BuildValue("NN", body, content);
    Py_XDECREF(body);
    if (taken < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef committer_methods[] = {
    {"commit", (PyCFunction)committer_commit, METH_VARARGS, "(body, content) of these fields, or None."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Committer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "counterfoil.mapping._native.Committer",
    .tp_doc = "Commits to content fields.",
    .tp_basicsize = sizeof(Committer),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = committer_new,
    .tp_dealloc = (destructor)committer_free,
    .tp_methods = committer_methods,
};
