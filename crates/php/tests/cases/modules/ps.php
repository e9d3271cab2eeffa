<?php
// load: ps
function work() {
    $ps = ps_new();
    ps_open_file($ps, '');
    ps_set_info($ps, 'Creator', 'seen');
    ps_begin_page($ps, 300, 200);
    ps_moveto($ps, 10, 10);
    ps_lineto($ps, 100, 100);
    ps_stroke($ps);
    ps_end_page($ps);
    ps_close($ps);
    return [strlen(preg_replace('/%%CreationDate.*/', '', ps_get_buffer($ps))) > 1000, ps_get_value(ps_new(), 'major', 0)];
}
function left() { return ['document' => is_numeric(ps_get_buffer(ps_new()))]; }
