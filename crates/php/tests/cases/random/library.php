<?php
// What three libraries yield, and by whom.
$library = FFI::cdef('int RAND_bytes(unsigned char *, int); void gcry_create_nonce(void *, size_t); int gnutls_rnd(int, void *, size_t);');
$bytes = $library->new('unsigned char[16]');
$draws = [];
$library->RAND_bytes($bytes, 16);
$draws[] = bin2hex(FFI::string($bytes, 16));
$library->gcry_create_nonce($bytes, 16);
$draws[] = bin2hex(FFI::string($bytes, 16));
foreach ([0, 1, 2] as $level) {
    $library->gnutls_rnd($level, $bytes, 16);
    $draws[] = bin2hex(FFI::string($bytes, 16));
}
echo implode(' ', $draws);
