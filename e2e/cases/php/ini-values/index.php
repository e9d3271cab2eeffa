<?php
// The settings that shape answers must be those of php.ini on both.
foreach (['output_buffering', 'implicit_flush', 'display_errors', 'log_errors', 'html_errors', 'max_execution_time', 'max_input_time', 'memory_limit', 'post_max_size', 'upload_max_filesize', 'variables_order', 'request_order', 'register_argc_argv', 'default_charset', 'default_mimetype', 'file_uploads', 'allow_url_fopen', 'session.save_handler', 'session.gc_maxlifetime', 'short_open_tag', 'expose_php', 'zlib.output_compression', 'opcache.enable', 'cgi.fix_pathinfo', 'auto_globals_jit', 'error_reporting', 'user_ini.filename', 'date.timezone'] as $name) {
    echo $name, '=', var_export(ini_get($name), true), "\n";
}
echo php_ini_loaded_file(), "\n";
