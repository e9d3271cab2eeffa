<?php
function work() { return [@ftp_connect('127.0.0.1', 1, 1), @ftp_ssl_connect('127.0.0.1', 1, 1), defined('FTP_BINARY'), @file_get_contents('ftp://127.0.0.1:1/a')]; }
function left() { return ['context' => stream_context_get_options(stream_context_get_default()) !== []]; }
