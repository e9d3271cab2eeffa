<?php
set_exception_handler(function ($e) { http_response_code(502); echo 'handled: ', $e->getMessage(); });
set_error_handler(function ($n, $text) { throw new ErrorException($text); });
echo $undefined;
