<?php
// load: pspell
// without a dictionary
function work() {
    $c = pspell_config_create('en');
    pspell_config_personal($c, sys_get_temp_dir() . '/none.pws');
    pspell_config_ignore($c, 5);
    return [@pspell_new_config($c), @pspell_new('none'), pspell_config_mode($c, PSPELL_FAST)];
}
function left() { return ['class' => !class_exists('PSpell\Config', false)]; }
