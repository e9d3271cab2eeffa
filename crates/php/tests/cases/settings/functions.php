<?php
echo json_encode([function_exists('exec'), function_exists('system'), function_exists('passthru'), count(get_class_methods('SplStack')), ini_get('disable_functions')]);
