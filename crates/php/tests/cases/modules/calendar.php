<?php
function work() { return [cal_days_in_month(CAL_GREGORIAN, 2, 2024), jdtogregorian(2460000), easter_date(2024), jdtojewish(2460000), cal_info(0)['calname']]; }
function left() { return ['days' => unixtojd(0) !== 2440588]; }
