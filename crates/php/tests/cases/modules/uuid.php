<?php
// load: uuid
function work() {
    $a = uuid_create(UUID_TYPE_TIME);
    $b = uuid_create(UUID_TYPE_RANDOM);
    return [uuid_is_valid($a), uuid_type($b), uuid_compare($a, $b) !== 0, uuid_generate_md5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'a'), uuid_create() !== uuid_create()];
}
function left() { return ['parsing' => bin2hex(uuid_parse('6ba7b810-9dad-11d1-80b4-00c04fd430c8')) !== '6ba7b8109dad11d180b400c04fd430c8']; }
function unique() { return [uuid_create(UUID_TYPE_TIME), uuid_create(UUID_TYPE_RANDOM)]; }
