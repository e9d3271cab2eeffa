<?php
function work() {
    return [filter_var('a@b.example', FILTER_VALIDATE_EMAIL), filter_var('12x', FILTER_VALIDATE_INT), filter_input(INPUT_GET, 'module'),
        filter_var('1,2', FILTER_CALLBACK, ['options' => fn ($t) => strrev($t)]), count(filter_list()) > 15];
}
function left() { return ['input' => filter_input(INPUT_GET, 'do') !== 'left']; }
