<?php
// load: pcov
// set: pcov.enabled = 1
// set: pcov.directory = /
function work() {
    pcov\start();
    eval('function measured() { return 1; }');
    measured();
    $name = tempnam(sys_get_temp_dir(), 'pcov');
    file_put_contents($name, "<?php\n\$a = 1;\n\$a++;\n");
    require $name;
    pcov\stop();
    unlink($name);
    return [array_values(pcov\collect(pcov\inclusive, [$name])), pcov\memory() > 0];
}
function left() { return ['files' => (bool) pcov\collect(pcov\all)]; }
