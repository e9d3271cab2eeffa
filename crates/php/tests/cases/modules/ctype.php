<?php
function work() { setlocale(LC_CTYPE, 'C'); return [ctype_alpha('abc'), ctype_digit('1a'), ctype_space(" \n"), ctype_upper("\xc4")]; }
function left() { return ['locale' => setlocale(LC_CTYPE, 0) === 'C']; }
