<?php
$c = FFI::cdef('void *dlsym(void *, const char *); int pthread_create(unsigned long *, void *, void *, void *);');
$t = FFI::new('unsigned long');
$c->pthread_create(FFI::addr($t), null, $c->dlsym(null, 'pause'), null);
echo 'started';
