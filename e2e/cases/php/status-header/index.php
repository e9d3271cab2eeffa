<?php
header($_GET['line']);
echo "asked: ", $_GET['line'], "\ncode: ", var_export(http_response_code(), true), "\n";
