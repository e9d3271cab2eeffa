<?php
// load: ssh2
// without a server
function work() { return [@ssh2_connect('127.0.0.1', 1), @fopen('ssh2.sftp://a@127.0.0.1:1/b', 'r'), in_array('ssh2.exec', stream_get_wrappers(), true)]; }
function left() { return ['wrapper' => !in_array('ssh2.sftp', stream_get_wrappers(), true)]; }
