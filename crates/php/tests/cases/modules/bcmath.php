<?php
// load: bcmath
function work() { return [bcscale(5), bcdiv('1', '3'), bcpowmod('5', '117', '19'), bcsqrt('2', 30), bccomp('1', '2')]; }
function left() { return ['scale' => bcscale() !== 0]; }
