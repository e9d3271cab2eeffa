<?php
function f(int $x) {}
$undefined->method();
