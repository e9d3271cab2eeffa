<?php
// keeps: history
function work() { return [readline_add_history('seen'), readline_completion_function(fn () => ['a']), readline_info('library_version')]; }
function left() { 
    readline_write_history($name = tempnam(sys_get_temp_dir(), 'history'));
    $text = file_get_contents($name);
    unlink($name);
    return ['history' => str_contains($text, 'seen')];
}
