<?php
// load: xdebug
// set: xdebug.mode = develop,coverage
function work() {
    xdebug_start_code_coverage();
    xdebug_start_error_collection();
    xdebug_set_filter(XDEBUG_FILTER_CODE_COVERAGE, XDEBUG_PATH_EXCLUDE, ['/none']);
    @strlen_of_nothing();
    return [count(xdebug_get_code_coverage()) > 0, xdebug_call_function(), count(xdebug_get_function_stack()), xdebug_info('mode')];
}
function strlen_of_nothing() { xdebug_notify('a'); trigger_error('seen'); }
function left() { return ['coverage' => xdebug_code_coverage_started(), 'errors' => xdebug_get_collected_errors() !== []]; }
