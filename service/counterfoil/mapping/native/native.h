/* The compiled part of `counterfoil`: what is shared between its files.
 *
 * It does nothing that the Python beside it does not do: each function has a twin in Python, which is the
 * specification, and which runs where this was not built (`counterfoil.mapping.compiled`). Tests run both on the same
 * bytes. It knows protobuf and JSON, and no convention: what an attribute means is in `counterfoil.mapping.tables`.
 *
 *   canonical.c  is this wire form exactly what a deterministic encoder prints?
 *   split.c      a request cut into its items; twin of `decode`
 *   message.c    one message of the wire as a Python object with the attributes of the protobuf library's
 *   walk.c       an attribute list to OTLP/JSON and what the tables know; twin of `recognise.walk`
 *   offer.c      noted attributes to facts and fields; twin of `recognise.offer`
 *   commit.c     content fields to disclosures and digests; twin of `log.sealer`
 *   lawful.c     facts against the rules of the core; twin of `log.lawful`
 *   pick.c       values and words out of leaves; twin of `trails.facts`
 *   text.c       JSON strings and base64
 *
 * Everything that is read here has come from outside. Rules: nothing is read before its bound is checked; sizes are
 * Py_ssize_t or uint32_t and never multiplied; what is not plain is left to Python (NULL without exception, or False),
 * never guessed.
 */
#ifndef COUNTERFOIL_NATIVE_H
#define COUNTERFOIL_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <structmember.h>

#define MAX_MESSAGE_DEPTH 64  /* messages inside messages; deeper ones are left to the protobuf library */

/* What a field of a message holds. `mapping/wire.py` has the same names. */
enum Kind {
    KIND_OTHER = 0, KIND_UINT64, KIND_INT64, KIND_UINT32, KIND_ENUM, KIND_BOOL, KIND_FIXED64, KIND_FIXED32,
    KIND_DOUBLE, KIND_STRING, KIND_BYTES, KIND_MESSAGE, KIND_COUNT
};

typedef struct {
    uint32_t number;
    uint8_t kind;
    uint8_t repeated;
    uint8_t presence;  /* may be there with its default value */
    int8_t oneof;      /* which oneof it belongs to, -1 for none */
    int message;       /* index of the type of a message field */
} Field;

typedef struct {
    int field_count;
    Field *fields;     /* by number, rising */
    PyObject *names;   /* dict: name of the field to its index */
    PyObject *stock;   /* the protobuf library's class of this message */
} Message;

/* Message types that refer to each other by index. `pair` and `value` are KeyValue and AnyValue. */
typedef struct {
    PyObject_HEAD
    int message_count;
    Message *messages;
    int pair, value;
} Layout;

/* One field of one message: a number, or a stretch of the wire. A repeated field is one stretch, tags included. */
typedef struct {
    uint64_t number;
    uint32_t start, length, count;  /* count 0: the field is not there */
} Slot;

/* canonical.c */
extern PyTypeObject Layout_Type;
const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *value);
int is_canonical(const Layout *layout, const Message *message, const uint8_t *base, const uint8_t *at,
                 const uint8_t *end, int depth, Slot *slots);

/* message.c */
extern PyTypeObject Item_Type, Pairs_Type;
typedef struct {
    PyObject_HEAD
    Layout *layout;
    PyObject *body;          /* the bytes that the stretch is of */
    uint32_t start, length, count;
} Pairs;
const uint8_t *bytes_of(PyObject *body);
PyObject *item_new(Layout *layout, const Message *message, PyObject *body, const uint8_t *at, Py_ssize_t length);
PyObject *stock_message(const Message *message, const uint8_t *at, Py_ssize_t length);

/* split.c */
PyObject *native_split(PyObject *module, PyObject *arguments);

/* walk.c */
PyObject *native_walk(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

/* offer.c, commit.c, lawful.c, pick.c */
extern PyTypeObject Reader_Type, Committer_Type, Lawful_Type, Picker_Type;
int token_by_form(const char *text, Py_ssize_t length);
int ask(PyObject *callable, PyObject *value);

/* text.c: sizes first, then the bytes; -1 where the text is no UTF-8 */
int is_utf8(const uint8_t *at, Py_ssize_t length);
Py_ssize_t json_size(const uint8_t *at, Py_ssize_t length);
uint8_t *json_write(uint8_t *to, const uint8_t *at, Py_ssize_t length);
Py_ssize_t base64url_size(Py_ssize_t length);
void base64url_prepare(void);
uint8_t *base64url_write(uint8_t *to, const uint8_t *at, Py_ssize_t length);

#endif
