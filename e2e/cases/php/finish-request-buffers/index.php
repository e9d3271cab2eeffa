<?php
ob_start(fn($text) => "($text)");
echo 'in a buffer';
var_dump(fastcgi_finish_request(), fastcgi_finish_request());
