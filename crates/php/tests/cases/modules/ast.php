<?php
// load: ast
function work() {
    $tree = ast\parse_code('<?php function f(int $a) { return $a + 1; }', 85);
    return [ast\get_kind_name($tree->kind), count($tree->children), ast\kind_uses_flags($tree->kind), $tree->children[0]->children['name']];
}
function left() { return ['names' => ast\get_kind_name(ast\AST_VAR) !== 'AST_VAR']; }
