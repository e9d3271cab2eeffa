<?php
var_export($_POST);
var_export($_FILES);
var_dump(strlen(file_get_contents('php://input')));
