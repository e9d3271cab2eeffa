<?php
// load: excimer
function work() {
    $seen = 0;
    $profiler = new ExcimerProfiler;
    $profiler->setPeriod(0.001);
    $profiler->setEventType(EXCIMER_CPU);
    $profiler->start();
    $timer = new ExcimerTimer;
    $timer->setInterval(0.002);
    $timer->setCallback(function () use (&$seen) { $seen = 1; });
    $timer->start();
    $until = microtime(true) + 0.05;
    while (microtime(true) < $until) md5('a');
    $profiler->stop();
    $GLOBALS['late'] = excimer_set_timeout(function () {}, 100);
    return [$seen <= 1, $profiler->getLog()->getEventCount() >= 0];
}
function left() { return ['timer' => (new ExcimerTimer)->getTime() > 0]; }
