<?php
// load: odbc
// without a driver
function work() { return [@odbc_connect('Driver=none', 'a', 'b'), odbc_error(), @odbc_pconnect('Driver=none', 'a', 'b'), odbc_errormsg() !== '']; }
function left() { return ['error' => odbc_error() !== '']; }
