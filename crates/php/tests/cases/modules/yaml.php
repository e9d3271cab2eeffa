<?php
// load: yaml
function work() {
    ini_set('yaml.output_indent', '6');
    return [yaml_parse("a: [1, two]\nb: !x 5\n", 0, $n, ['!x' => fn ($v) => $v * 2]), yaml_emit(['a' => ['b' => 1]]), @yaml_parse('a: ['), $n];
}
function left() { return ['indent' => ini_get('yaml.output_indent') === '6']; }
