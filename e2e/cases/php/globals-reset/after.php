<?php
var_dump(defined('MADE_HERE'), isset($made), class_exists('Counter', false), function_exists('f'), basename(getcwd()), umask(), mb_internal_encoding(), libxml_use_internal_errors());
