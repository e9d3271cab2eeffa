<?php
echo $_SERVER['QUERY_STRING'], "\n", $_SERVER['REQUEST_URI'], "\n";
var_export($_GET);
var_export($_REQUEST);
