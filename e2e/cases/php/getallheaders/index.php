<?php
$headers = getallheaders();
ksort($headers);
var_export($headers);
var_dump(getallheaders() == apache_request_headers());
