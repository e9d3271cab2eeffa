<?php
echo 'first ', strlen(file_get_contents('php://input'));
echo ' second ', strlen(file_get_contents('php://input'));
parse_str(file_get_contents('php://input'), $again);
echo ' ', count($again), ' ', count($_POST);
