<?php
function work() {
    $class = new ReflectionClass('ArrayObject');
    return [$class->getShortName(), count($class->getMethods()) > 10, (string) (new ReflectionFunction('strlen'))->getReturnType(),
        (new ReflectionExtension('standard'))->getName()];
}
function left() { return ['names' => (new ReflectionClass('ArrayObject'))->getShortName() !== 'ArrayObject']; }
