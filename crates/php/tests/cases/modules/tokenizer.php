<?php
function work() { return [count(token_get_all('<?php echo 1 + 2;')), token_name(T_ECHO), (string) PhpToken::tokenize('<?php $a;')[1]]; }
function left() { return ['names' => token_name(T_ECHO) !== 'T_ECHO']; }
