<?php
// load: thrift_protocol
function work() { return [function_exists('thrift_protocol_write_binary'), count((new ReflectionFunction('thrift_protocol_read_binary'))->getParameters())]; }
function left() { return ['function' => !function_exists('thrift_protocol_read_binary')]; }
