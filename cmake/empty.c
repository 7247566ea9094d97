/* Keeps the library non-empty on a target where a glob finds nothing. */
typedef int far_empty_translation_unit;
