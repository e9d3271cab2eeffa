<?php
// load: enchant
function work() {
    $broker = enchant_broker_init();
    enchant_broker_set_ordering($broker, 'en_US', 'aspell,hunspell');
    $list = sys_get_temp_dir() . '/enchant-' . getmypid();
    $words = enchant_broker_request_pwl_dict($broker, $list);
    enchant_dict_add($words, 'hostel');
    $answer = [enchant_dict_check($words, 'hostel'), enchant_dict_check($words, 'hostle'), enchant_dict_suggest($words, 'hostl'), enchant_broker_dict_exists($broker, 'xx_XX'),
        enchant_broker_get_error($broker)];
    @unlink($list);
    return $answer;
}
function left() { return ['error' => enchant_broker_get_error(enchant_broker_init()) !== false]; }
