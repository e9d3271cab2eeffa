<?php
// load: libowphp
// without a bus
function work() {
    OW::set_error_level('4');
    return [OW::version() !== '', OW::init('/none'), OW::get('/')];
}
function left() { return ['level' => (string) OW::get_error_level() === '4']; }
