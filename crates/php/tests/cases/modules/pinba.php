<?php
// load: pinba
// set: pinba.enabled = 1
// set: pinba.server = 127.0.0.1:30002
function work() {
    $timer = pinba_timer_start(['group' => 'a']);
    pinba_timer_stop($timer);
    pinba_tag_set('seen', '1');
    pinba_script_name_set('/seen');
    pinba_flush();
    return [pinba_timer_get_info($timer)['started'], count(pinba_get_info()['timers'] ?? []), pinba_tag_get('seen')];
}
function left() { return ['tag' => pinba_tags_get() !== []]; }
