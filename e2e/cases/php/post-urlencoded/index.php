<?php
var_export($_POST);
var_export($_GET);
var_export($_REQUEST);
echo file_get_contents('php://input'), "\n", $_SERVER['CONTENT_TYPE'], ' ', $_SERVER['CONTENT_LENGTH'], "\n";
