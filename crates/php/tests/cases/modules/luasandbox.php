<?php
// load: luasandbox
function work() {
    $sandbox = new LuaSandbox;
    $sandbox->setMemoryLimit(10000000);
    $sandbox->setCPULimit(0.05);
    $sandbox->registerLibrary('php', ['up' => fn ($t) => [strtoupper($t)]]);
    $sandbox->enableProfiler(0.001);
    $answer = $sandbox->loadString('kept = 5; return php.up("a"), 1 + 2')->call();
    try { $sandbox->loadString('while true do end')->call(); } catch (LuaSandboxTimeoutError $e) { $answer[] = 'timeout'; }
    return $answer;
}
function left() { return ['variable' => (new LuaSandbox)->loadString('return kept')->call() !== [null]]; }
