<?php
// Before any worker is forked. Nothing that is drawn here is drawn again.
$GLOBALS['drawn'] = [mt_rand(), rand(), lcg_value(), uniqid('', true), openssl_random_pseudo_bytes(16), random_bytes(16), str_shuffle('abcdef')];
