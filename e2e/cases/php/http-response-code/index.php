<?php
var_dump(http_response_code());
var_dump(http_response_code(404));
var_dump(http_response_code());
var_dump(http_response_code(202));
