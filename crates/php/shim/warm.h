/*
 * What shim.c and warm.c want of each other.
 */
#ifndef HOSTEL_WARM_H
#define HOSTEL_WARM_H

#include <stdbool.h>

/* The request that runs is nobody's. */
extern bool hostel_is_warming;

void hostel_quieten_request(void);
void hostel_remember_signal_handlers(void);
void hostel_compare_signal_handlers(void);

#endif
