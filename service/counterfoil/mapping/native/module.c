/* The module `counterfoil.mapping._native`; native.h says what is in it. */
#include "native.h"

static PyMethodDef functions[] = {
    {"split", native_split, METH_VARARGS,
     "split(body, layout, limit): a request as [(resource, url, [(scope, url, items, foreign)])], or None."},
    {"walk", (PyCFunction)(void (*)(void))native_walk, METH_FASTCALL,
     "walk(pairs, vocabulary, pair_json, fragment): (OTLP/JSON pairs with gaps, [(position, known, raw)])."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "counterfoil.mapping._native",
    .m_doc = "The compiled part: OTLP on the wire, disclosures and rules, faster.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__native(void)
{
    static const struct { const char *name; PyTypeObject *type; } types[] = {
        {"Layout", &Layout_Type}, {"Item", &Item_Type}, {"Pairs", &Pairs_Type}, {"Reader", &Reader_Type},
        {"Committer", &Committer_Type}, {"Lawful", &Lawful_Type}, {"Picker", &Picker_Type},
    };
    base64url_prepare();
    PyObject *module = PyModule_Create(&definition);
    for (size_t at = 0; module && at < sizeof types / sizeof *types; at++)
        if (PyType_Ready(types[at].type) < 0 || PyModule_AddObjectRef(module, types[at].name, (PyObject *)types[at].type) < 0)
            Py_CLEAR(module);
    return module;
}
